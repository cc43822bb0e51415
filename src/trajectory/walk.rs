//! The walk: how the vectors of positions move through the layers.

use std::fmt;

use tch::{Kind, Tensor};

use super::geometry::{angle, cosine, dot, mean_pair_cosine, norm};
use super::nearest::nearest;
use super::pca::principal;
use super::stream::{self, Depth, Treatment};
use super::{Near, ReadAs};
use crate::attention::{in_part, layers};
use crate::run::Generation;
use crate::site::{Part, Site};
use crate::{Array, Error, Model, Result, Trace, interrupt};

/// The residual stream of some positions as points on a way through the layers. Made by [`Trace::walk`].
///
/// Steps are the points, L + 1 of them where they are the stream before the first layer and after each; P positions.
/// Angles are in radians, 2 atan2(|u − v|, |u + v|) of unit vectors.
#[derive(Debug, Clone, PartialEq)]
pub struct Walk {
    /// Name of the model.
    pub model: String,
    /// The block whose stream it is: `all`, `encoder` or `decoder`.
    pub block: String,
    /// What was done to vectors first.
    pub treatment: Treatment,
    /// The positions, counted from 0.
    pub positions: Vec<usize>,
    /// Their tokens, as they are shown.
    pub tokens: Vec<String>,
    /// The points of the way.
    pub steps: Vec<WalkStep>,
    /// The points along the first three principal components of all of them (steps, P, 3).
    pub coordinates: Array,
    /// The share of the variance of all points that each of the three has.
    pub explained: Vec<f32>,
    /// The components (3,D), of length 1, each with its largest number positive.
    pub axes: Array,
    /// The mean of all points (D).
    pub mean: Array,
    /// Lengths of the vectors (steps, P).
    pub norm: Array,
    /// Lengths of the moves from one point to the next (steps − 1, P).
    pub step_length: Array,
    /// Angles between a point and the next (steps − 1, P), as seen from the origin.
    pub angle: Array,
    /// Angles between a move and the next (steps − 2, P): 0 straight on, π back.
    pub turning: Array,
    /// Cosines between a point and the move that leaves it (steps − 1, P): 1 straight outwards, 0 across.
    pub radial: Array,
    /// Angles from the first point (steps, P).
    pub angle_from_start: Array,
    /// Angles to the last point (steps, P).
    pub angle_to_end: Array,
    /// Lengths of the whole ways (P).
    pub path_length: Vec<f32>,
    /// The direct way from first to last point as a share of the whole one (P): 1 is a straight line.
    pub straightness: Vec<f32>,
    /// The mean cosine between different positions at each point (steps): near 1 all point the same way.
    pub anisotropy: Vec<f32>,
    /// What each sublayer has of the moves from layer to layer; empty where moves are no sums of them.
    pub shares: Vec<Share>,
    /// The words nearest to each point (steps, P), best first; empty unless asked for.
    pub nearest: Vec<Vec<Vec<Near>>>,
    /// How vectors were read as words.
    pub read: ReadAs,
    /// How many of the positions were given, where the rest was written by the model: a figure replays them. Positions
    /// are then in the order of the text.
    pub given: Option<usize>,
}

/// A point of the way.
#[derive(Debug, Clone, PartialEq)]
pub struct WalkStep {
    /// `in`, `after layer 3`, `MLP norm 2`.
    pub name: String,
    /// Where the vectors come from.
    pub site: Site,
}

/// What a sublayer has of each move: the part of it that points along the move, as a share of the move's length. The
/// shares of a move sum to 1; one below 0 goes against it.
#[derive(Debug, Clone, PartialEq)]
pub struct Share {
    /// `attention`, `cross attention` or `MLP`.
    pub sublayer: String,
    /// (layers, P).
    pub values: Array,
}

/// What a walk holds, option by option; made by [`Trace::walk`].
#[derive(Debug, Clone)]
#[must_use = "call build() to get the walk"]
pub struct WalkBuilder {
    trace: Trace,
    block: Option<String>,
    positions: Option<Vec<usize>>,
    sublayers: bool,
    treatment: Treatment,
    nearest: usize,
    read: ReadAs,
    given: Option<usize>,
}

impl Walk {
    /// The sites that a run must keep for a walk of any block: the stream at every depth, what the sublayers read, and
    /// what they write, for their shares.
    pub fn sites(model: &Model) -> Vec<Site> {
        let depths = [Part::Encoder, Part::Main].into_iter().flat_map(|part| {
            stream::depths(model, part).into_iter().chain(stream::sublayers(model, part)).map(|depth| depth.site)
        });
        let needed: Vec<Site> = depths.collect();
        let writes = |site: &Site| matches!(site.plain(), Site::AttnOut(_) | Site::MlpOut(_));
        model.sites().into_iter().filter(|site| writes(site) || needed.contains(site)).collect()
    }
}

impl Trace {
    /// How the vectors of this run's positions move through the layers: the residual stream before the first layer and
    /// after each, along its principal components and in lengths and angles.
    ///
    /// ```
    /// # fn main() -> flowlens::Result<()> {
    /// let model = flowlens::Model::load("tests/fixtures/parity/llama_gqa")?;
    /// let walk = model.run("The capital of Japan is the city of")?.walk().positions([1, 7]).build()?;
    /// assert_eq!(walk.coordinates.shape(), [walk.steps.len(), 2, 3]);
    /// assert!(walk.straightness.iter().all(|share| (0.0..=1.0001).contains(share)));
    /// # Ok(()) }
    /// ```
    pub fn walk(&self) -> WalkBuilder {
        WalkBuilder {
            trace: self.clone(),
            block: None,
            positions: None,
            sublayers: false,
            treatment: Treatment::default(),
            nearest: 0,
            read: ReadAs::FinalNorm,
            given: None,
        }
    }
}

impl Generation {
    /// The walk of what was read and written, whose figure replays the writing token by token. The last token is not in
    /// it: no run has read it.
    ///
    /// ```
    /// # fn main() -> flowlens::Result<()> {
    /// use flowlens::{Model, trajectory::Walk};
    /// let model = Model::load("tests/fixtures/parity/llama_gqa")?;
    /// let generation = model.generate("The capital of Japan").max_tokens(3).keep(Walk::sites(&model)).run()?;
    /// let walk = generation.walk()?.build()?;
    /// assert_eq!(walk.given.map(|given| given + 2), Some(walk.positions.len()));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When nothing of the runs was kept.
    pub fn walk(&self) -> Result<WalkBuilder> {
        let (Some(first), Some(last)) = (self.traces.first(), self.traces.last()) else {
            return Err(Error::Trajectory {
                what: "the walk of a generation".to_owned(),
                problem: "needs its runs, and none was kept; add keep(Walk::sites(&model))".to_owned(),
            });
        };
        let walk = WalkBuilder { given: Some(first.len()), ..last.walk() };
        // What an encoder read does not grow.
        Ok(if last.model().architecture().encoder.is_some() { walk.block("decoder") } else { walk })
    }
}

impl WalkBuilder {
    /// The block: `encoder` or `decoder`; of an encoder-decoder the encoder unless told.
    pub fn block(mut self, name: impl Into<String>) -> Self {
        self.block = Some(name.into());
        self
    }

    /// The positions that walk; all by default.
    pub fn positions(mut self, positions: impl IntoIterator<Item = usize>) -> Self {
        self.positions = Some(positions.into_iter().collect());
        self
    }

    /// Walks through what the sublayers read, norm by norm, in place of the stream: as attention and MLP see it.
    pub fn sublayers(mut self) -> Self {
        self.sublayers = true;
        self
    }

    /// Scales every vector to length 1 first: what the norms before the sublayers do, all but their gains.
    pub fn unit_norm(mut self) -> Self {
        self.treatment.unit_norm = true;
        self
    }

    /// Subtracts the mean over the walking positions, at each step its own: what is left is how they differ.
    pub fn centred(mut self) -> Self {
        self.treatment.centred = true;
        self
    }

    /// Leaves out the first position, whose vector is often far longer than all others.
    pub fn without_first(mut self) -> Self {
        self.treatment.without_first = true;
        self
    }

    /// Also names the `count` words nearest to each point.
    pub fn nearest(mut self, count: usize, read: ReadAs) -> Self {
        (self.nearest, self.read) = (count, read);
        self
    }

    /// Computes the walk, in float64.
    ///
    /// # Errors
    /// When a block or position does not exist, or the run did not keep the stream of every layer.
    pub fn build(&self) -> Result<Walk> {
        interrupt::during("the walk", || self.build_now())
    }

    fn build_now(&self) -> Result<Walk> {
        let _guard = tch::no_grad_guard();
        let (trace, model) = (&self.trace, self.trace.model());
        let (part, block) = stream::part(model, self.block.as_deref())?;
        let tokens = stream::tokens(trace, part);
        let mut positions = stream::positions(self.positions.as_deref(), self.treatment, tokens.len())?;
        if self.given.is_some() {
            positions.sort_unstable();
        }
        let depths = if self.sublayers { stream::sublayers(model, part) } else { stream::depths(model, part) };
        let raw: Vec<Tensor> = depths
            .iter()
            .map(|depth| {
                interrupt::check()?;
                stream::rows(&stream::vectors(trace, depth.site)?, &positions)
            })
            .collect::<Result<_>>()?;
        let nearest = match self.nearest {
            0 => Vec::new(),
            count => depths
                .iter()
                .zip(&raw)
                .map(|(depth, raw)| nearest(model, depth.site, raw, self.read, count))
                .collect::<Result<_>>()?,
        };
        let treated = raw.iter().map(|raw| stream::treated(raw, self.treatment)).collect::<Result<Vec<_>>>()?;
        let points = Tensor::f_stack(&treated, 0)?;
        let shares = if self.is_of_sums() { self.shares(part, &positions, &points)? } else { Vec::new() };
        walk_of(
            &points,
            Walk {
                model: model.name().to_owned(),
                block: block.to_owned(),
                treatment: self.treatment,
                tokens: positions.iter().map(|&position| tokens[position].clone()).collect(),
                positions: positions.clone(),
                steps: depths.into_iter().map(|Depth { name, site }| WalkStep { name, site }).collect(),
                shares,
                nearest,
                given: self.given.map(|given| positions.iter().filter(|&&position| position < given).count()),
                read: self.read,
                ..Walk::empty()?
            },
        )
    }

    /// Whether the moves are what sublayers add: not between norms, nor after anything was done to the vectors.
    fn is_of_sums(&self) -> bool {
        !self.sublayers
            && self.treatment == Treatment { without_first: self.treatment.without_first, ..Treatment::default() }
    }

    /// What each sublayer has of the moves, where the run kept what they write and the moves are their sums.
    fn shares(&self, part: Part, positions: &[usize], points: &Tensor) -> Result<Vec<Share>> {
        let (trace, count) = (&self.trace, layers(self.trace.model(), part));
        let written = |name: &str, site: fn(usize) -> Site, part| -> Option<(String, Tensor)> {
            let of_layer = |layer| stream::rows(&stream::vectors(trace, in_part(site(layer), part))?, positions);
            let all = (0..count).map(of_layer).collect::<Result<Vec<Tensor>>>().ok()?;
            Some((name.to_owned(), Tensor::f_stack(&all, 0).ok()?))
        };
        let crosses = part == Part::Main && self.trace.model().architecture().encoder.is_some();
        let cross = crosses.then(|| written("cross attention", Site::AttnOut, Part::Cross)).flatten();
        let own = [written("attention", Site::AttnOut, part), cross, written("MLP", Site::MlpOut, part)];
        let written: Vec<(String, Tensor)> = own.into_iter().flatten().collect();
        let moves = points.f_narrow(0, 1, count as i64)?.f_sub(&points.f_narrow(0, 0, count as i64)?)?;
        let squares = dot(&moves, &moves)?;
        let mut shares = Vec::new();
        let mut missing = moves.shallow_clone();
        for (sublayer, vectors) in written {
            missing = missing.f_sub(&vectors)?;
            let values = dot(&vectors, &moves)?.f_div(&squares.f_clamp_min(f64::MIN_POSITIVE)?)?;
            shares.push(Share { sublayer, values: Array::from_tensor(&values)? });
        }
        // Post-norm blocks move by more than what is added.
        let off = norm(&missing)?.f_div(&norm(&moves)?.f_clamp_min(f64::MIN_POSITIVE)?)?;
        let whole = off.numel() > 0 && off.f_max()?.f_double_value(&[])? < 1e-3;
        Ok(if whole { shares } else { Vec::new() })
    }
}

impl Walk {
    fn empty() -> Result<Walk> {
        let none = || Array::new(&[0], Vec::new());
        Ok(Walk {
            model: String::new(),
            block: String::new(),
            treatment: Treatment::default(),
            positions: Vec::new(),
            tokens: Vec::new(),
            steps: Vec::new(),
            coordinates: none()?,
            explained: Vec::new(),
            axes: none()?,
            mean: none()?,
            norm: none()?,
            step_length: none()?,
            angle: none()?,
            turning: none()?,
            radial: none()?,
            angle_from_start: none()?,
            angle_to_end: none()?,
            path_length: Vec::new(),
            straightness: Vec::new(),
            anisotropy: Vec::new(),
            shares: Vec::new(),
            nearest: Vec::new(),
            read: ReadAs::FinalNorm,
            given: None,
        })
    }
}

/// `walk` with the geometry of its points (steps, P, D).
fn walk_of(points: &Tensor, walk: Walk) -> Result<Walk> {
    let (steps, count, width) = points.size3()?;
    if steps < 2 {
        return Err(Error::Trajectory {
            what: "a walk".to_owned(),
            problem: "needs at least two points; this stack has no layer to walk through".to_owned(),
        });
    }
    let (from, to) = (points.f_narrow(0, 0, steps - 1)?, points.f_narrow(0, 1, steps - 1)?);
    let moves = to.f_sub(&from)?;
    let lengths = norm(&moves)?;
    let path = lengths.f_sum_dim_intlist([0i64].as_slice(), false, Kind::Double)?;
    let (start, end) = (points.f_narrow(0, 0, 1)?, points.f_narrow(0, steps - 1, 1)?);
    let direct = norm(&end.f_sub(&start)?.f_squeeze_dim(0)?)?;
    let components = principal(&points.f_reshape([steps * count, width])?, 3)?;
    let list = |tensor: &Tensor| -> Result<Vec<f32>> { Ok(Array::from_tensor(tensor)?.data().to_vec()) };
    Ok(Walk {
        coordinates: Array::new(&[steps as usize, count as usize, 3], components.coordinates.data().to_vec())?,
        explained: components.explained,
        axes: components.axes,
        mean: components.mean,
        norm: Array::from_tensor(&norm(points)?)?,
        step_length: Array::from_tensor(&lengths)?,
        angle: Array::from_tensor(&angle(&from, &to)?)?,
        turning: Array::from_tensor(&angle(&moves.f_narrow(0, 0, steps - 2)?, &moves.f_narrow(0, 1, steps - 2)?)?)?,
        radial: Array::from_tensor(&cosine(&moves, &from)?)?,
        angle_from_start: Array::from_tensor(&angle(&start.f_expand_as(points)?, points)?)?,
        angle_to_end: Array::from_tensor(&angle(points, &end.f_expand_as(points)?)?)?,
        straightness: list(&direct.f_div(&path.f_clamp_min(f64::MIN_POSITIVE)?)?)?,
        path_length: list(&path)?,
        anisotropy: list(&mean_pair_cosine(points)?)?,
        ..walk
    })
}

impl fmt::Display for Walk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (positions, steps) = (self.positions.len(), self.steps.len());
        writeln!(f, "walk of {positions} positions of {}, {}, through {steps} points", self.model, self.block)?;
        let explained: Vec<String> = self.explained.iter().map(|share| format!("{:.1} %", 100.0 * share)).collect();
        write!(f, "  first three principal components: {} of the variance", explained.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replayed_walk_is_in_the_order_of_the_text() {
        let model = crate::Model::load("tests/fixtures/parity/llama_gqa").unwrap();
        let streams = (0..model.layers()).map(Site::ResidPost).chain([Site::ResidPre(0)]);
        let generation = model.generate("The capital of Japan").max_tokens(3).keep(streams).run().unwrap();
        let given = generation.traces[0].len();
        let walk = generation.walk().unwrap().positions([given + 1, 0, given]).build().unwrap();
        assert_eq!((walk.positions, walk.given), (vec![0, given, given + 1], Some(1)));
    }

    /// One position goes one to the right, then one upwards.
    #[test]
    fn a_corner_turns_by_a_right_angle() {
        let points = Tensor::from_slice(&[1.0f64, 0.0, 2.0, 0.0, 2.0, 1.0]).view([3, 1, 2]);
        let walk = walk_of(&points, Walk::empty().unwrap()).unwrap();
        assert_eq!(walk.step_length.data(), [1.0, 1.0]);
        assert_eq!(walk.radial.data(), [1.0, 0.0]);
        assert!((walk.turning.data()[0] - std::f32::consts::FRAC_PI_2).abs() < 1e-6);
        assert!((walk.straightness[0] - 0.5f32.sqrt()).abs() < 1e-6);
        assert!((walk.angle.data()[1] - 0.5f32.atan()).abs() < 1e-6);
        assert_eq!(walk.path_length, [2.0]);
        assert_eq!(walk.anisotropy, [1.0; 3]);
    }
}
