//! Every array of this room under the names of a published reference, so that either side can check the other.

use std::collections::HashMap;
use std::path::Path;

use tch::{Kind, Tensor};

use super::decoding::predictions;
use super::geometry::unit;
use super::nearest::nearest;
use super::{Near, ReadAs, Walk, stream};
use crate::attention::{in_part, layers, plan, visible};
use crate::run::write;
use crate::site::{Part, Site};
use crate::{Array, Result, Trace, interrupt};

/// Arrays by name, float32 and int64.
#[derive(Default)]
struct Arrays {
    numbers: Vec<(String, Array)>,
    integers: Vec<(String, Vec<usize>, Vec<i64>)>,
}

impl Arrays {
    fn add(&mut self, name: String, tensor: &Tensor) -> Result<()> {
        self.numbers.push((name, Array::from_tensor(tensor)?));
        Ok(())
    }

    fn list(&mut self, name: String, numbers: &[f32]) -> Result<()> {
        self.numbers.push((name, Array::new(&[numbers.len()], numbers.to_vec())?));
        Ok(())
    }

    fn integers(&mut self, name: String, shape: Vec<usize>, numbers: Vec<i64>) {
        self.integers.push((name, shape, numbers));
    }
}

impl Trace {
    /// Writes every array of this run's trajectories to a safetensors file: kernels, similarity maps, the geometry and
    /// the principal components of the walk, nearest words, attributions and rollout, decoding. Names start with `enc_`
    /// and `dec_` in an encoder-decoder. What a family does not have, or the run did not keep, is left out.
    ///
    /// | name | shape | |
    /// |---|---|---|
    /// | `kernel_rel`, `kernel` | N; H,N | offsets (int64) and what positions add there |
    /// | `kernel_row_ticks`, `kernel_row` | S; H,S | one row of the bias: offsets, values, masked ones not a number |
    /// | `sim_resid_dot`, `_cos` | L+1,T,T | the stream before the first layer and after each |
    /// | `sim_saln_*`, `sim_ln_*`, `sim_ffln_*`, `sim_final_*` | L,T,T; T,T | norms of attention and MLP, final norm |
    /// | `traj_norm`, `_speed`, `_cos_step`, `_angular_velocity`, `_turning_angle`, `_radial_fraction` | steps,T | |
    /// | `traj_path_length`, `_straightness` | T | |
    /// | `traj_angle_from_start`, `_angle_to_end` | L+1,T | radians |
    /// | `traj_layer_layer_cos`, `_mean_pair_cos` | T,L+1,L+1; L+1 | |
    /// | `pca_coords`, `_ratio`, `_axes`, `_mean` | L+1,T,3; 3; 3,D; D | |
    /// | `lens_ids`, `lens_ip` | L+1,T,5 | words nearest through the final norm, and their inner products |
    /// | `knn_ids`, `knn_ip` | L+1,T,5 | words whose rows of the token table are nearest to the vector as it is |
    /// | `attr`, `rollout` | L,T,T | |
    /// | `cross_attr`, `enc_to_out_attr`, `cross_sim_cos` | L,T,S; L,T,S; T,S | |
    /// | `att_entropy`, `att_distance` | L,H | nats, tokens; means over queries |
    /// | `p_next`, `rank_next`, `entropy`, `n_top` | T-1; T-1; T; T | ranks from 0, nats, tokens of 90 % |
    /// | `label_p` | T | probability of each next token of the decoder's text, after the last one of its end |
    /// | `walk` | sublayers+1,T,D | what the sublayers read, and the final norm |
    /// | `concept_mean`, `_w1mean`, `_last`, `_dot` | D; 1 | pooled final vectors; product of both halves' means |
    ///
    /// # Errors
    /// When the run kept no stream, or the file cannot be written.
    pub fn save_trajectories(&self, path: impl AsRef<Path>) -> Result<()> {
        interrupt::during("the arrays of trajectories", || self.save_trajectories_now(path.as_ref()))
    }

    fn save_trajectories_now(&self, path: &Path) -> Result<()> {
        let _guard = tch::no_grad_guard();
        let mut arrays = Arrays::default();
        let encodes = self.model().architecture().encoder.is_some();
        self.attributions(&mut arrays)?;
        if encodes {
            self.of_part(Part::Encoder, "enc_", &mut arrays)?;
            self.of_part(Part::Main, "dec_", &mut arrays)?;
            self.of_both(&mut arrays)?;
        } else {
            self.of_part(Part::Main, "", &mut arrays)?;
            if !self.model().architecture().reads_both_ways() {
                self.of_text(&mut arrays)?;
            }
        }
        self.concepts(&mut arrays)?;
        // Before the file is touched: parts that are not there are left out, and one that was stopped must not look like that.
        interrupt::check()?;
        let metadata = HashMap::from([("family".to_owned(), self.model().architecture().family.to_owned())]);
        write(path, &arrays.numbers, &arrays.integers, metadata)
    }

    fn of_part(&self, part: Part, prefix: &str, arrays: &mut Arrays) -> Result<()> {
        self.kernels_of(part, prefix, arrays)?;
        self.similarities(part, prefix, arrays)?;
        self.geometry(part, prefix, arrays)?;
        self.words(part, prefix, arrays)?;
        self.weights(part, prefix, arrays)
    }

    fn kernels_of(&self, part: Part, prefix: &str, arrays: &mut Arrays) -> Result<()> {
        let (_, name) = stream::block_of(self.model(), part);
        if let Ok(kernels) = self.model().position_kernels()
            && let Some(kernel) = kernels.kernels.into_iter().find(|kernel| kernel.block == name)
        {
            arrays.integers(format!("{prefix}kernel_rel"), vec![kernel.offsets.len()], kernel.offsets);
            arrays.numbers.push((format!("{prefix}kernel"), kernel.values));
        }
        let Some(plan) = plan(self.model(), part, 0).filter(|plan| plan.position_bias.is_some()) else { return Ok(()) };
        let Some(bias) = self.tensor_if_kept(in_part(Site::PositionBias(0), part))? else { return Ok(()) };
        let keys = bias.size()[2];
        // The row in the middle where all keys are seen, else one near the end.
        let row = if part == Part::Encoder { keys / 2 } else { (keys - 10).max(0) };
        let hidden = visible(self, part, plan).hidden(crate::Device::Cpu)?.f_get(row)?;
        let values = bias.f_select(1, row)?.f_to_device(tch::Device::Cpu)?.f_to_kind(Kind::Float)?;
        arrays.integers(format!("{prefix}kernel_row_ticks"), vec![keys as usize], (-row..keys - row).collect());
        arrays.add(format!("{prefix}kernel_row"), &values.f_masked_fill(&hidden, f64::NAN)?)
    }

    fn similarities(&self, part: Part, prefix: &str, arrays: &mut Arrays) -> Result<()> {
        let (model, count) = (self.model(), layers(self.model(), part));
        let streams: Vec<Site> = stream::depths(model, part).into_iter().map(|depth| depth.site).collect();
        let norms = |site: fn(usize) -> Site| (0..count).map(|layer| in_part(site(layer), part)).collect::<Vec<_>>();
        let own = if prefix.is_empty() { "ln" } else { "saln" };
        for (name, sites) in [("resid", streams), (own, norms(Site::AttnNorm)), ("ffln", norms(Site::MlpNorm))] {
            let found = sites.iter().map(|&site| stream::vectors(self, site)).collect::<Result<Vec<_>>>();
            let Ok(found) = found else { continue };
            self.maps_of(&Tensor::f_stack(&found, 0)?, &format!("{prefix}sim_{name}"), arrays)?;
        }
        if let Ok(last) = stream::vectors(self, in_part(Site::FinalNorm, part)) {
            self.maps_of(&last, &format!("{prefix}sim_final"), arrays)?;
        }
        Ok(())
    }

    /// Both kinds of maps of vectors (..,T,D).
    fn maps_of(&self, vectors: &Tensor, name: &str, arrays: &mut Arrays) -> Result<()> {
        let gram = |vectors: &Tensor| -> Result<Tensor> { Ok(vectors.f_matmul(&vectors.f_transpose(-2, -1)?)?) };
        arrays.add(format!("{name}_dot"), &gram(vectors)?)?;
        arrays.add(format!("{name}_cos"), &gram(&unit(vectors)?)?)
    }

    fn geometry(&self, part: Part, prefix: &str, arrays: &mut Arrays) -> Result<()> {
        let (_, block) = stream::block_of(self.model(), part);
        let walk = self.walk().block(block).build()?;
        let depths = self.similarity_maps().block(block).between_layers(walk.positions.clone()).build()?;
        let Walk { coordinates, explained, axes, mean, norm, step_length, angle, turning, radial, .. } = walk;
        let cosines = Array::new(angle.shape(), angle.data().iter().map(|angle| angle.cos()).collect())?;
        for (name, array) in [
            ("traj_norm", norm),
            ("traj_speed", step_length),
            ("traj_cos_step", cosines),
            ("traj_angular_velocity", angle),
            ("traj_turning_angle", turning),
            ("traj_radial_fraction", radial),
            ("traj_angle_from_start", walk.angle_from_start),
            ("traj_angle_to_end", walk.angle_to_end),
            ("pca_coords", coordinates),
            ("pca_axes", axes),
            ("pca_mean", mean),
        ] {
            arrays.numbers.push((format!("{prefix}{name}"), array));
        }
        arrays.list(format!("{prefix}pca_ratio"), &explained)?;
        arrays.list(format!("{prefix}traj_path_length"), &walk.path_length)?;
        arrays.list(format!("{prefix}traj_straightness"), &walk.straightness)?;
        arrays.list(format!("{prefix}traj_mean_pair_cos"), &walk.anisotropy)?;
        let shape = [depths.maps.len(), depths.rows.len(), depths.columns.len()];
        let cosines: Vec<f32> = depths.maps.iter().flat_map(|map| map.values.data().iter().copied()).collect();
        arrays.numbers.push((format!("{prefix}traj_layer_layer_cos"), Array::new(&shape, cosines)?));
        let read = stream::sublayers(self.model(), part);
        let read = read.iter().map(|depth| stream::vectors(self, depth.site)).collect::<Result<Vec<_>>>();
        if let Ok(read) = read
            && stream::is_pre_norm(self.model(), part)
        {
            arrays.add(format!("{prefix}walk"), &Tensor::f_stack(&read, 0)?)?;
        }
        Ok(())
    }

    fn words(&self, part: Part, prefix: &str, arrays: &mut Arrays) -> Result<()> {
        let depths = stream::depths(self.model(), part);
        let streams = depths.iter().map(|depth| stream::vectors(self, depth.site)).collect::<Result<Vec<_>>>()?;
        let (steps, count) = (streams.len(), streams.first().map_or(0, |stream| stream.size()[0]) as usize);
        let all = Tensor::f_cat(&streams, 0)?;
        for (name, read) in [("lens", ReadAs::FinalNorm), ("knn", ReadAs::Raw)] {
            // Without a head, or with a table of another width, there is nothing to compare with.
            let Ok(found) = nearest(self.model(), in_part(Site::ResidPre(0), part), &all, read, 5) else { continue };
            let words: Vec<&Near> = found.iter().flatten().collect();
            let shape = vec![steps, count, words.len() / (steps * count).max(1)];
            let scores = Array::new(&shape, words.iter().map(|near| near.score).collect())?;
            arrays.numbers.push((format!("{prefix}{name}_ip"), scores));
            let ids = words.iter().map(|near| i64::from(near.id)).collect();
            arrays.integers(format!("{prefix}{name}_ids"), shape, ids);
        }
        Ok(())
    }

    fn weights(&self, part: Part, prefix: &str, arrays: &mut Arrays) -> Result<()> {
        let patterns = (0..layers(self.model(), part)).map(|layer| self.tensor(in_part(Site::Pattern(layer), part)));
        let Ok(patterns) = patterns.collect::<Result<Vec<_>>>() else { return Ok(()) };
        let pattern = Tensor::f_stack(&patterns, 0)?.f_to_device(tch::Device::Cpu)?.f_to_kind(Kind::Double)?;
        let places = Tensor::f_arange(pattern.size()[3], (Kind::Double, tch::Device::Cpu))?;
        let distance = places.f_unsqueeze(0)?.f_sub(&places.f_unsqueeze(1)?)?.f_abs()?;
        let mean = |terms: Tensor| -> Result<Tensor> {
            let rows = terms.f_sum_dim_intlist([-1i64].as_slice(), false, Kind::Double)?;
            Ok(rows.f_mean_dim([-1i64].as_slice(), false, Kind::Double)?)
        };
        let bits = pattern.f_mul(&pattern.f_add_scalar(1e-13)?.f_log()?)?.f_neg()?;
        arrays.add(format!("{prefix}att_entropy"), &mean(bits)?)?;
        arrays.add(format!("{prefix}att_distance"), &mean(pattern.f_mul(&distance)?)?)?;
        Ok(())
    }

    /// The products of mean attention, where the patterns of all layers were kept.
    fn attributions(&self, arrays: &mut Arrays) -> Result<()> {
        let Ok(maps) = self.attribution_maps() else { return Ok(()) };
        for map in maps.blocks {
            let name = match map.name.as_str() {
                "attribution" => "attr",
                "rollout" => "rollout",
                "encoder attribution" => "enc_attr",
                "encoder rollout" => "enc_rollout",
                "decoder attribution" => "dec_attr",
                "decoder rollout" => "dec_rollout",
                "cross attribution" => "cross_attr",
                "source attribution" => "enc_to_out_attr",
                _ => continue,
            };
            stacked(name.to_owned(), map.layers, arrays)?;
        }
        Ok(())
    }

    /// What lies between encoder and decoder.
    fn of_both(&self, arrays: &mut Arrays) -> Result<()> {
        let last = |site| stream::vectors(self, site).and_then(|vectors| unit(&vectors));
        if let (Ok(source), Ok(target)) = (last(Site::EncoderFinalNorm), last(Site::FinalNorm)) {
            arrays.add("cross_sim_cos".to_owned(), &target.f_matmul(&source.f_tr()?)?)?;
        }
        let mut labels: Vec<i64> = self.tokens().ids.iter().skip(1).copied().collect();
        labels.extend(self.model().stop_ids().first().map(|&id| i64::from(id)));
        if let Some(logits) = self.tensor_if_kept(Site::Logits)? {
            let logits = logits.f_to_device(tch::Device::Cpu)?.f_to_kind(Kind::Float)?;
            arrays.list("label_p".to_owned(), &predictions(&logits, &labels)?.probability)?;
        }
        Ok(())
    }

    /// How the text is predicted.
    fn of_text(&self, arrays: &mut Arrays) -> Result<()> {
        let Ok(decoding) = self.decoding() else { return Ok(()) };
        arrays.list("p_next".to_owned(), &decoding.probability)?;
        let ranks: Vec<i64> = decoding.rank.iter().map(|&rank| rank as i64 - 1).collect();
        arrays.integers("rank_next".to_owned(), vec![ranks.len()], ranks);
        let nats: Vec<f32> = decoding.entropy.iter().map(|bits| bits * std::f32::consts::LN_2).collect();
        arrays.list("entropy".to_owned(), &nats)?;
        let counts: Vec<i64> = decoding.top_count.iter().map(|&count| count as i64).collect();
        arrays.integers("n_top".to_owned(), vec![counts.len()], counts);
        Ok(())
    }

    /// The final vectors of the text pooled into one.
    fn concepts(&self, arrays: &mut Arrays) -> Result<()> {
        let part = stream::part(self.model(), None)?.0;
        let Ok(vectors) = stream::vectors(self, in_part(Site::FinalNorm, part)) else { return Ok(()) };
        let count = vectors.size()[0];
        let mean = |first: i64, count: i64| -> Result<Tensor> {
            Ok(vectors.f_narrow(0, first, count)?.f_mean_dim([0i64].as_slice(), false, Kind::Double)?)
        };
        let weights = Tensor::f_arange_start(1, count + 1, (Kind::Double, tch::Device::Cpu))?;
        let weighted = weights.f_unsqueeze(0)?.f_matmul(&vectors)?.f_squeeze_dim(0)?;
        arrays.add("concept_mean".to_owned(), &mean(0, count)?)?;
        arrays.add("concept_w1mean".to_owned(), &weighted.f_div(&weights.f_sum(Kind::Double)?)?)?;
        arrays.add("concept_last".to_owned(), &vectors.f_get(count - 1)?)?;
        if count > 1 {
            let half = count / 2;
            let product = mean(0, half)?.f_dot(&mean(half, count - half)?)?;
            arrays.add("concept_dot".to_owned(), &product.f_view([1])?)?;
        }
        Ok(())
    }
}

/// The maps of all layers as one array.
fn stacked(name: String, layers: Vec<(usize, Array)>, arrays: &mut Arrays) -> Result<()> {
    let mut shape = vec![layers.len()];
    shape.extend(layers.first().map(|(_, map)| map.shape().to_vec()).unwrap_or_default());
    let numbers = layers.into_iter().flat_map(|(_, map)| map.data().to_vec()).collect();
    arrays.numbers.push((name, Array::new(&shape, numbers)?));
    Ok(())
}
