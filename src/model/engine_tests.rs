//! What the engine must be able to do before runs are batched, cached, restarted or differentiated, for every fixture.

use std::path::{Path, PathBuf};

use tch::{Kind, Tensor};

use super::{Model, Network, Tokens, Wanted};
use crate::Result;
use crate::model::Input;
use crate::site::{Part, Site, Unwatched, Watcher};

fn fixtures() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity");
    let mut folders: Vec<PathBuf> = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

fn read(folder: &Path) -> (Model, Tokens) {
    let model = Model::load(folder.to_str().unwrap()).unwrap();
    let input = Input::from_file(folder.join("expected.safetensors")).unwrap();
    let tokens = model.read_tokens(input).unwrap();
    (model, tokens)
}

fn output(network: &Network, tokens: &Tokens, watcher: &mut dyn Watcher) -> Tensor {
    let mut last = Last { watcher, output: None };
    let logits = network.forward(tokens, Wanted::All, &mut last).unwrap();
    logits.or(last.output).unwrap()
}

/// Remembers the final vectors, for models without a head.
struct Last<'a> {
    watcher: &'a mut dyn Watcher,
    output: Option<Tensor>,
}

impl Watcher for Last<'_> {
    fn wants(&self, site: Site) -> bool {
        self.watcher.wants(site)
    }

    fn changes(&self, site: Site) -> bool {
        self.watcher.changes(site)
    }

    fn at(&mut self, site: Site, tensor: Tensor) -> Result<Tensor> {
        let tensor = self.watcher.at(site, tensor)?;
        if site == Site::FinalNorm {
            self.output = Some(tensor.shallow_clone());
        }
        Ok(tensor)
    }
}

/// Changes a tensor at the places where a stack begins, and wants everything, so that every site is passed.
struct Entering<F>(F);

impl<F: FnMut(Tensor) -> Tensor> Watcher for Entering<F> {
    fn wants(&self, _: Site) -> bool {
        true
    }

    fn changes(&self, _: Site) -> bool {
        true
    }

    fn at(&mut self, site: Site, tensor: Tensor) -> Result<Tensor> {
        let enters = site.plain() == Site::ResidPre(0) && site.part() != Part::Cross;
        Ok(if enters { (self.0)(tensor) } else { tensor })
    }
}

fn worst(found: &Tensor, wanted: &Tensor) -> f64 {
    let away = (found - wanted).abs() / (wanted.abs() + 1.0);
    away.max().double_value(&[])
}

/// Two inputs of the same length in one run: the second is another stream.
#[test]
fn a_batch_axis_in_front_changes_nothing() {
    for folder in fixtures() {
        let (model, tokens) = read(&folder);
        let other = |stream: &Tensor| stream.flip([-1i64].as_slice()) * 0.5;
        let one = output(model.network(), &tokens, &mut Unwatched);
        let two = output(model.network(), &tokens, &mut Entering(|stream| other(&stream)));
        let both = Entering(|stream: Tensor| Tensor::stack(&[&stream, &other(&stream)], 0));
        let both = output(model.network(), &tokens, &mut { both });
        assert_eq!(both.size()[1..], one.size(), "{}", folder.display());
        assert!(worst(&both.get(0), &one) < 1e-4, "{}: {}", folder.display(), worst(&both.get(0), &one));
        assert!(worst(&both.get(1), &two) < 1e-4, "{}: {}", folder.display(), worst(&both.get(1), &two));
    }
}

/// The gradient along a direction is the slope that the run itself shows.
#[test]
fn gradients_reach_the_stream_through_every_family() {
    for folder in fixtures() {
        let (model, tokens) = read(&folder);
        // The stack that is asked: an encoder-decoder's decoder.
        let along = |stream: &Tensor| {
            (Tensor::arange(stream.numel() as i64, (Kind::Float, stream.device())) * 0.7).sin().view_as(stream)
        };
        let number = |output: &Tensor| (output * along(output)).sum(Kind::Double);
        let mut leaf = None;
        let mut enter = |stream: Tensor| {
            let stream = stream.detach().set_requires_grad(true);
            leaf = Some(stream.shallow_clone());
            stream
        };
        let loss = number(&output(model.network(), &tokens, &mut Entering(&mut enter)));
        loss.backward();
        let leaf: Tensor = leaf.unwrap();
        let slope = (leaf.grad() * along(&leaf)).sum(Kind::Double).double_value(&[]);
        let at = |step: f64| {
            let parts = usize::from(model.architecture().encoder.is_some());
            let mut seen = 0;
            let mut moved = Entering(|stream: Tensor| {
                seen += 1;
                if seen > parts { &stream + along(&stream) * step } else { stream }
            });
            number(&output(model.network(), &tokens, &mut moved)).double_value(&[])
        };
        let step = 1e-3;
        let measured = (at(step) - at(-step)) / (2.0 * step);
        let size = leaf.grad().norm().double_value(&[]) * along(&leaf).norm().double_value(&[]);
        assert!(size > 0.0, "{}: no gradient", folder.display());
        // Activations with a corner and float32 leave some of it open.
        assert!((slope - measured).abs() < 0.02 * size + 1e-2, "{}: {slope} and {measured}", folder.display());
    }
}

/// What positions bring does not depend on where a run begins to compute.
#[test]
fn a_run_may_begin_at_any_position() {
    for folder in fixtures() {
        let (model, tokens) = read(&folder);
        let stack = model.stack();
        let count = tokens.len();
        let whole = stack.embedding.forward(&tokens, &(0..count), &mut Unwatched).unwrap();
        for first in [1, count - 1].into_iter().filter(|&first| first > 0 && first < count) {
            let here = first..count;
            let tail = |all: &Tensor| all.narrow(-2, first as i64, (count - first) as i64);
            let part = stack.embedding.forward(&tokens, &here, &mut Unwatched).unwrap();
            assert!(worst(&part, &tail(&whole)) < 1e-6, "{}: embedding", folder.display());
            let (all, some) = (stack.prepare(&tokens, &(0..count)).unwrap(), stack.prepare(&tokens, &here).unwrap());
            for layer in 0..stack.layers() {
                let (all, some) = (stack.positions(layer, &all), stack.positions(layer, &some));
                assert!(some.hidden.equal(&tail(all.hidden)), "{}: mask", folder.display());
                if let (Some(all), Some(some)) = (all.bias, some.bias) {
                    assert!(worst(some, &tail(all)) < 1e-6, "{}: bias", folder.display());
                }
                if let (Some((rotary, all)), Some((_, some))) = (all.rotation, some.rotation) {
                    let heads = |count: usize| {
                        Tensor::ones(
                            [2, count as i64, model.architecture().main.blocks[layer].attention.head_dim as i64],
                            (Kind::Float, tch::Device::Cpu),
                        )
                    };
                    let (all, some) =
                        (rotary.turn(&heads(count), all).unwrap(), rotary.turn(&heads(count - first), some).unwrap());
                    assert!(worst(&some, &tail(&all)) < 1e-6, "{}: rotation", folder.display());
                }
            }
        }
    }
}

/// Two texts run together give what each gives alone.
#[test]
fn texts_that_are_run_together_are_each_as_if_alone() {
    for folder in fixtures() {
        let (model, tokens) = read(&folder);
        let plan = model.architecture();
        let alone = output(model.network(), &tokens, &mut Unwatched);
        let (together, count) = (twice(&tokens), tokens.len() as i64);
        if together.source.as_ref().is_some_and(|source| {
            source.len() > plan.encoder.as_ref().and_then(|encoder| encoder.context).unwrap_or(usize::MAX)
        }) {
            continue;
        }
        let both = output(model.network(), &together, &mut Unwatched);
        for start in [0, count] {
            let part = both.narrow(-2, start, count);
            assert!(worst(&part, &alone) < 1e-4, "{}: {}", folder.display(), worst(&part, &alone));
        }
    }
}

/// The same text two times, as two texts.
fn twice(tokens: &Tokens) -> Tokens {
    let double = |list: &Option<Vec<i64>>| list.as_ref().map(|list| [list.as_slice(), list].concat());
    Tokens {
        ids: [tokens.ids.as_slice(), &tokens.ids].concat(),
        attention_mask: double(&tokens.attention_mask),
        token_type_ids: double(&tokens.token_type_ids),
        languages: double(&tokens.languages),
        starts: vec![0, tokens.len()],
        source: tokens.source.as_ref().map(|source| Box::new(twice(source))),
        ..Tokens::default()
    }
}
