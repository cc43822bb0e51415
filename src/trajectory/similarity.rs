//! Similarity maps: how alike the vectors of positions are, at one depth after another.

use std::fmt;

use tch::{Kind, Tensor};

use super::nearest::nearest;
use super::stream::{self, Treatment};
use super::{Near, ReadAs};
use crate::attention::in_part;
use crate::site::{Part, Site};
use crate::{Array, Error, Model, Result, Trace, interrupt};

/// How two vectors are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Similarity {
    /// The cosine of the angle between them, -1 to 1.
    #[default]
    Cosine,
    /// Their inner product. A few long vectors, often that of the first token, outweigh all others in it.
    Dot,
}

/// Maps of the similarity of positions at several depths, of a run with itself or with another one, or of depths at one
/// position. Made by [`Trace::similarity_maps`].
#[derive(Debug, Clone, PartialEq)]
pub struct SimilarityMaps {
    /// Name of the model.
    pub model: String,
    /// The block whose stream is compared: `all`, `encoder` or `decoder`.
    pub block: String,
    /// How vectors are compared.
    pub measure: Similarity,
    /// What was done to vectors first.
    pub treatment: Treatment,
    /// What the rows of each map are: tokens as they are shown, or depths.
    pub rows: Vec<String>,
    /// What the columns are.
    pub columns: Vec<String>,
    /// The maps, in the order of the computation.
    pub maps: Vec<SimilarityMap>,
    /// How alike the maps' depths are as wholes: linear CKA (Kornblith et al. 2019, arXiv 1905.00414) between their rows'
    /// vectors (maps, maps), 1 for depths that are equal but for rotation and scale. None where depths themselves are
    /// compared.
    pub cka: Option<Array>,
    /// How vectors were read as words.
    pub read: ReadAs,
}

/// One map.
#[derive(Debug, Clone, PartialEq)]
pub struct SimilarityMap {
    /// What is compared: `embeddings`, `after layer 3`, `final norm`, or a position and its token.
    pub name: String,
    /// Where its vectors come from; none where depths are compared at one position.
    pub site: Option<Site>,
    /// The similarities (rows, columns).
    pub values: Array,
    /// The words nearest to each row's vector, best first; empty unless asked for, and for embeddings that cannot be read
    /// as told.
    pub nearest: Vec<Vec<Near>>,
}

/// What similarity maps hold, option by option; made by [`Trace::similarity_maps`].
#[derive(Debug, Clone)]
#[must_use = "call build() to get the maps"]
pub struct SimilarityMapsBuilder {
    trace: Trace,
    other: Option<Trace>,
    block: Option<String>,
    sites: Option<Vec<Site>>,
    between: Option<Vec<usize>>,
    measure: Similarity,
    treatment: Treatment,
    nearest: usize,
    read: ReadAs,
}

impl SimilarityMaps {
    /// The sites that a run must keep for the usual maps of any block.
    pub fn sites(model: &Model) -> Vec<Site> {
        let usual = [Part::Encoder, Part::Main].into_iter().flat_map(|part| usual(model, part));
        let needed: Vec<Site> = usual.map(|(_, site)| site).collect();
        model.sites().into_iter().filter(|site| needed.contains(site)).collect()
    }
}

impl Trace {
    /// How alike the positions of this run are: a map for the token embeddings, what the first layer reads, the stream
    /// after each layer, and what leaves the final norm. By default cosines.
    ///
    /// ```
    /// # fn main() -> flowlens::Result<()> {
    /// let model = flowlens::Model::load("tests/fixtures/parity/llama_gqa")?;
    /// let maps = model.run("The capital of Japan is the city of")?.similarity_maps().build()?;
    /// let last = maps.maps.last().unwrap();
    /// assert_eq!((last.name.as_str(), last.values.get(&[2, 2]).map(f32::round)), ("final norm", Some(1.0)));
    /// # Ok(()) }
    /// ```
    pub fn similarity_maps(&self) -> SimilarityMapsBuilder {
        SimilarityMapsBuilder {
            trace: self.clone(),
            other: None,
            block: None,
            sites: None,
            between: None,
            measure: Similarity::Cosine,
            treatment: Treatment::default(),
            nearest: 0,
            read: ReadAs::FinalNorm,
        }
    }
}

impl SimilarityMapsBuilder {
    /// The block: `encoder` or `decoder`; of an encoder-decoder the encoder unless told.
    pub fn block(mut self, name: impl Into<String>) -> Self {
        self.block = Some(name.into());
        self
    }

    /// The sites to compare at, of shape (T,D), in place of the usual ones.
    pub fn sites(mut self, sites: impl IntoIterator<Item = Site>) -> Self {
        self.sites = Some(sites.into_iter().collect());
        self
    }

    /// Compares positions of this run (rows) with those of another (columns): another text, or the same one after a
    /// change.
    pub fn with(mut self, other: &Trace) -> Self {
        self.other = Some(other.clone());
        self
    }

    /// Compares depths with each other in place of positions: a map for each of these positions.
    pub fn between_layers(mut self, positions: impl IntoIterator<Item = usize>) -> Self {
        self.between = Some(positions.into_iter().collect());
        self
    }

    /// Inner products in place of cosines.
    pub fn dot(mut self) -> Self {
        self.measure = Similarity::Dot;
        self
    }

    /// Leaves out the first position, whose vector is often far longer than all others.
    pub fn without_first(mut self) -> Self {
        self.treatment.without_first = true;
        self
    }

    /// Subtracts the mean over positions, at each depth its own: what all positions share is no likeness between two.
    pub fn centred(mut self) -> Self {
        self.treatment.centred = true;
        self
    }

    /// Also names the `count` words nearest to each row's vector.
    pub fn nearest(mut self, count: usize, read: ReadAs) -> Self {
        (self.nearest, self.read) = (count, read);
        self
    }

    /// Computes the maps, in float64.
    ///
    /// # Errors
    /// When a block, site or position does not exist, the run kept none of the sites, or two runs do not fit each other.
    pub fn build(&self) -> Result<SimilarityMaps> {
        interrupt::during("comparing positions", || self.build_now())
    }

    fn build_now(&self) -> Result<SimilarityMaps> {
        let _guard = tch::no_grad_guard();
        let model = self.trace.model();
        let (part, block) = stream::part(model, self.block.as_deref())?;
        let treatment = Treatment { unit_norm: self.measure == Similarity::Cosine, ..self.treatment };
        let mut maps = SimilarityMaps {
            model: model.name().to_owned(),
            block: block.to_owned(),
            measure: self.measure,
            treatment,
            rows: Vec::new(),
            columns: Vec::new(),
            maps: Vec::new(),
            cka: None,
            read: self.read,
        };
        match &self.between {
            Some(positions) => self.between_depths(part, positions, &mut maps)?,
            None => self.between_positions(part, &mut maps)?,
        }
        Ok(maps)
    }

    fn between_positions(&self, part: Part, maps: &mut SimilarityMaps) -> Result<()> {
        let other = self.other.as_ref().unwrap_or(&self.trace);
        let (rows, columns) = (stream::tokens(&self.trace, part), stream::tokens(other, part));
        let here = stream::positions(None, self.treatment, rows.len())?;
        let there = stream::positions(None, self.treatment, columns.len())?;
        let mut grams = Vec::new();
        for (name, site) in self.depths(part)? {
            interrupt::check()?;
            let raw = stream::rows(&stream::vectors(&self.trace, site)?, &here)?;
            let left = stream::treated(&raw, maps.treatment)?;
            let right = match &self.other {
                Some(other) => stream::treated(&stream::rows(&stream::vectors(other, site)?, &there)?, maps.treatment)?,
                None => left.shallow_clone(),
            };
            if left.size()[1] != right.size()[1] {
                return Err(Error::site(site, "has another width in the other run; compare runs of the same model"));
            }
            let nearest = match self.nearest {
                0 => Vec::new(),
                // Where the table is narrower than the stream, its rows are not read through the stream's norm.
                count => match nearest(self.trace.model(), site, &raw, self.read, count) {
                    Err(_) if site.plain() == Site::Embedding => Vec::new(),
                    found => found?,
                },
            };
            let values = Array::from_tensor(&left.f_matmul(&right.f_tr()?)?)?;
            grams.push(centred_gram(&raw)?);
            maps.maps.push(SimilarityMap { name, site: Some(site), values, nearest });
        }
        maps.rows = here.into_iter().filter_map(|place| rows.get(place).cloned()).collect();
        maps.columns = there.into_iter().filter_map(|place| columns.get(place).cloned()).collect();
        maps.cka = Some(cka(&grams)?);
        Ok(())
    }

    fn between_depths(&self, part: Part, positions: &[usize], maps: &mut SimilarityMaps) -> Result<()> {
        if self.other.is_some() {
            return Err(Error::Trajectory {
                what: "depths of two runs".to_owned(),
                problem: "are not compared; leave out with(..) or between_layers(..)".to_owned(),
            });
        }
        let tokens = stream::tokens(&self.trace, part);
        let positions = stream::positions(Some(positions), self.treatment, tokens.len())?;
        let (mut names, mut depths) = (Vec::new(), Vec::new());
        let chosen = match &self.sites {
            Some(_) => self.depths(part)?,
            None => {
                stream::depths(self.trace.model(), part).into_iter().map(|depth| (depth.name, depth.site)).collect()
            }
        };
        let all = stream::positions(None, self.treatment, tokens.len())?;
        for (name, site) in chosen {
            interrupt::check()?;
            let vectors = stream::vectors(&self.trace, site)?;
            // What is centred is so among all positions.
            let treated = stream::treated(&stream::rows(&vectors, &all)?, maps.treatment)?;
            let places: Vec<usize> = positions.iter().map(|position| position - all[0]).collect();
            depths.push(stream::rows(&treated, &places)?);
            names.push(name);
        }
        let stacked = Tensor::f_stack(&depths, 1)?;
        let products = stacked.f_matmul(&stacked.f_transpose(1, 2)?)?;
        for (row, &position) in positions.iter().enumerate() {
            maps.maps.push(SimilarityMap {
                name: format!("position {position}, {}", tokens[position]),
                site: None,
                values: Array::from_tensor(&products.f_get(row as i64)?)?,
                nearest: Vec::new(),
            });
        }
        (maps.rows, maps.columns) = (names.clone(), names);
        Ok(())
    }

    /// The depths to compare at: those asked for, else the usual ones that the run kept.
    fn depths(&self, part: Part) -> Result<Vec<(String, Site)>> {
        if let Some(sites) = &self.sites {
            let stray = sites.iter().find(|site| site.part() != part);
            if let Some(site) = stray {
                return Err(Error::site(site, "lies in another block; choose it with block(..)"));
            }
            let usual = usual(self.trace.model(), part);
            let name = |site: Site| usual.iter().find(|(_, own)| *own == site).map(|(name, _)| name.clone());
            return Ok(sites.iter().map(|&site| (name(site).unwrap_or_else(|| site.to_string()), site)).collect());
        }
        let mut depths = usual(self.trace.model(), part);
        let kept = |site: Site| self.trace.holds(site);
        depths.retain(|&(_, site)| kept(site));
        if depths.is_empty() {
            return Err(Error::Trajectory {
                what: "similarity maps".to_owned(),
                problem: "need the stream, and this run kept none of it; add Site::ResidPost(layer) of some layers to \
                          keep(..), or watch everything with run(..)"
                    .to_owned(),
            });
        }
        Ok(depths)
    }
}

/// The depths that tell most: before any mixing, as attention sees it, after each layer, and at the end.
fn usual(model: &Model, part: Part) -> Vec<(String, Site)> {
    let mut depths = vec![("embeddings".to_owned(), in_part(Site::Embedding, part))];
    // In post-norm blocks this norm is one of the stream.
    if stream::is_pre_norm(model, part) {
        depths.push(("norm of layer 0".to_owned(), in_part(Site::AttnNorm(0), part)));
    }
    let streams = stream::depths(model, part).into_iter().skip(1);
    depths.extend(streams.map(|depth| (depth.name, depth.site)));
    depths.push(("final norm".to_owned(), in_part(Site::FinalNorm, part)));
    depths
}

/// The inner products (N,N) of rows, rows and columns centred.
fn centred_gram(vectors: &Tensor) -> Result<Tensor> {
    let centred = vectors.f_sub(&vectors.f_mean_dim([0i64].as_slice(), true, Kind::Double)?)?;
    Ok(centred.f_matmul(&centred.f_tr()?)?)
}

/// Linear CKA between every two of some centred Gram matrices (N,N).
fn cka(grams: &[Tensor]) -> Result<Array> {
    let flat = grams.iter().map(|gram| Ok(gram.f_view([-1])?)).collect::<Result<Vec<Tensor>>>()?;
    let flat = super::geometry::unit(&Tensor::f_stack(&flat, 0)?)?;
    Array::from_tensor(&flat.f_matmul(&flat.f_tr()?)?)
}

impl fmt::Display for SimilarityMaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let measure = if self.measure == Similarity::Cosine { "cosines" } else { "inner products" };
        let (rows, columns) = (self.rows.len(), self.columns.len());
        writeln!(f, "similarity maps of {}, {} ({measure}, {rows} by {columns}):", self.model, self.block)?;
        let names: Vec<&str> = self.maps.iter().map(|map| map.name.as_str()).collect();
        write!(f, "  {}", names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cka_sees_neither_rotation_nor_scale() {
        let rows = Tensor::from_slice(&[1.0f64, 0.0, 0.0, 1.0, 2.0, 3.0, -1.0, 0.5]).view([4, 2]);
        let turn = Tensor::from_slice(&[0.6f64, 0.8, -0.8, 0.6]).view([2, 2]);
        let other = Tensor::from_slice(&[1.0f64, 0.0, -1.0, 0.0, 1.0, 0.0, -1.0, 0.0]).view([4, 2]);
        let grams: Vec<Tensor> =
            [&rows, &(rows.matmul(&turn) * 3.0), &other].map(|rows| centred_gram(rows).unwrap()).into_iter().collect();
        let found = cka(&grams).unwrap();
        assert!((found.get(&[0, 1]).unwrap() - 1.0).abs() < 1e-6);
        assert!(found.get(&[0, 2]).unwrap() < 0.9);
    }
}
