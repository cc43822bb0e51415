//! The vectors and weights of one layer as VISIT sees them: weights as the file stores them.

use tch::{Kind, Tensor};

use super::Request;
use crate::model::architecture::Layout;
use crate::model::layers::{Block, Role};
use crate::{Error, Result, Site};

/// One layer at one position.
pub(super) struct Layer {
    pub index: usize,
    /// First column of the block in the picture.
    pub column: usize,
    pub heads: usize,
    pub block_input: Tensor,
    pub attn_input: Tensor,
    pub attn_output: Tensor,
    pub residual: Tensor,
    pub mlp_input: Tensor,
    pub mlp_output: Tensor,
    pub block_output: Tensor,
    /// Queries, keys and values (D) of the position, heads side by side, unrotated.
    pub query: Tensor,
    pub key: Tensor,
    pub value: Tensor,
    /// The cache (H,T,d): keys rotated.
    pub keys: Tensor,
    pub values: Tensor,
    /// Attention (H,T) of the position.
    pub pattern: Tensor,
    /// The heads side by side (D).
    pub concat: Tensor,
    /// Activations (I).
    pub neurons: Tensor,
    /// Query and key matrices as stored.
    pub w_query: Tensor,
    pub w_key: Tensor,
    /// The output matrix as stored, transposed when the configuration says so.
    pub w_output: Tensor,
    pub output_bias: Option<Tensor>,
    /// First matrix (D,I) and second matrix (I,D) of the MLP.
    pub ff1: Tensor,
    pub ff2: Tensor,
    pub ff1_bias: Option<Tensor>,
    pub ff2_bias: Option<Tensor>,
}

impl Layer {
    pub fn new(request: &Request, index: usize, column: usize) -> Result<Layer> {
        let trace = request.trace;
        let model = trace.model();
        let plan = &model.architecture().main.blocks[index];
        let attention = &plan.attention;
        let width = model.architecture().main.width;
        if attention.kv_heads != attention.heads || attention.heads * attention.head_dim != width {
            return Err(Error::FlowGraph(format!(
                "VISIT cannot draw this model: it has {} key heads for {} query heads of width {}, and VISIT expects as \
                 many keys as queries and heads that fill the width {width}; leave out the method visit",
                attention.kv_heads, attention.heads, attention.head_dim
            )));
        }
        let t = request.position as i64;
        let row = |site: Site| -> Result<Tensor> { Ok(trace.tensor(site)?.f_select(0, t)?.f_to_kind(Kind::Float)?) };
        let by_head = |site: Site| -> Result<Tensor> { Ok(trace.tensor(site)?.f_to_kind(Kind::Float)?) };
        let flat = |site: Site| -> Result<Tensor> { Ok(by_head(site)?.f_select(1, t)?.f_reshape([-1])?) };
        let block = model.stack().block(index);
        let (w_query, w_key) =
            (stacked(block, Role::Query, plan_layout(plan))?, stacked(block, Role::Key, plan_layout(plan))?);
        let mut w_output = as_stored(block.attention.output_matrix(), attention.output.layout)?;
        if request.config.transpose_attn_o {
            w_output = w_output.f_tr()?;
        }
        let up = as_stored(&block.mlp.up.weight, plan.mlp.up.layout)?;
        let down = as_stored(&block.mlp.down.weight, plan.mlp.down.layout)?;
        let (ff1, ff2) = guess_orientation(up, down)?;
        let neurons = plan.mlp.neurons() as i64;
        if ff1.size() != [width as i64, neurons] || ff2.size() != [neurons, width as i64] {
            return Err(Error::FlowGraph(format!(
                "VISIT cannot draw this model: it takes the longer side of an MLP matrix for the neurons, and here are \
                 {neurons} neurons for a width of {width}; leave out the method visit"
            )));
        }
        let residual = match trace.model().sites().contains(&Site::ResidMid(index)) {
            true => row(Site::ResidMid(index))?,
            // Only one norm in a parallel block: what enters it is the block's input.
            false => row(Site::ResidPre(index))?,
        };
        let keys = if attention.rotary.is_some() { Site::RotatedKey(index) } else { Site::Key(index) };
        let float = |bias: Option<&Tensor>| bias.map(|bias| bias.f_to_kind(Kind::Float)).transpose();
        Ok(Layer {
            index,
            column,
            heads: attention.heads,
            block_input: row(Site::ResidPre(index))?,
            attn_input: row(Site::AttnNorm(index))?,
            attn_output: row(Site::AttnOut(index))?,
            residual,
            mlp_input: row(Site::MlpNorm(index))?,
            mlp_output: row(Site::MlpOut(index))?,
            block_output: row(Site::ResidPost(index))?,
            query: flat(Site::Query(index))?,
            key: flat(Site::Key(index))?,
            value: flat(Site::Value(index))?,
            keys: by_head(keys)?,
            values: by_head(Site::Value(index))?,
            pattern: by_head(Site::Pattern(index))?.f_select(1, t)?,
            concat: flat(Site::HeadMix(index))?,
            neurons: row(Site::Neurons(index))?,
            w_query,
            w_key,
            w_output,
            output_bias: float(block.attention.output_bias())?,
            ff1,
            ff2,
            ff1_bias: float(block.mlp.up.bias.as_ref())?,
            ff2_bias: float(block.mlp.down.bias.as_ref())?,
        })
    }

    /// Width of a head.
    pub fn head_width(&self) -> i64 {
        self.concat.size()[0] / self.heads as i64
    }

    /// Vectors (n,d) of heads, each put into its head's slot of a vector of zeros: (n,D).
    pub fn padded(&self, vectors: &Tensor, heads: &[usize]) -> Result<Tensor> {
        let out = Tensor::f_zeros([heads.len() as i64, self.concat.size()[0]], (Kind::Float, vectors.device()))?;
        for (index, &head) in heads.iter().enumerate() {
            let mut slot = out.f_get(index as i64)?.f_narrow(0, head as i64 * self.head_width(), self.head_width())?;
            slot.f_copy_(&vectors.f_get(index as i64)?)?;
        }
        Ok(out)
    }

    /// Vectors (D) of all heads side by side as (H,D), each head in its slot.
    pub fn padded_heads(&self, vector: &Tensor) -> Result<Tensor> {
        let heads: Vec<usize> = (0..self.heads).collect();
        self.padded(&vector.f_view([self.heads as i64, self.head_width()])?, &heads)
    }
}

fn plan_layout(plan: &crate::model::architecture::Block) -> Layout {
    match &plan.attention.projection {
        crate::model::architecture::Projection::Separate { query, .. } => query.layout,
        crate::model::architecture::Projection::Fused { linear, .. } => linear.layout,
    }
}

/// The rows of all heads of a projection, as the file stores them.
fn stacked(block: &Block, role: Role, layout: Layout) -> Result<Tensor> {
    let heads = block.attention.heads(role);
    let rows = (0..heads).map(|head| block.attention.weight(role, head)).collect::<Result<Vec<_>>>()?;
    as_stored(&Tensor::f_cat(&rows, 0)?, layout)
}

/// A matrix (out,in) in the layout of its file.
fn as_stored(weight: &Tensor, layout: Layout) -> Result<Tensor> {
    let weight = weight.f_to_kind(Kind::Float)?;
    Ok(match layout {
        Layout::OutIn | Layout::OutByHead(_) => weight,
        Layout::InOut | Layout::InByHead(_) => weight.f_tr()?,
    })
}

/// VISIT's guess: the longer side of a matrix counts neurons.
fn guess_orientation(up: Tensor, down: Tensor) -> Result<(Tensor, Tensor)> {
    let tall = |matrix: &Tensor| matrix.size()[0] > matrix.size()[1];
    let wide = |matrix: &Tensor| matrix.size()[0] < matrix.size()[1];
    Ok((if tall(&up) { up.f_tr()? } else { up }, if wide(&down) { down.f_tr()? } else { down }))
}
