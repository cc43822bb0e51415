//! The Rust side of `run.py`: does one job whenever a line comes in, and answers with its seconds.
//!
//! `worker empty` · `worker load FOLDER` · `worker run FOLDER IDS` (lines `plain`, `watched`, `python`) ·
//! `worker generate FOLDER IDS` (lines `PROMPT COUNT`: so many of the ids are the prompt, so many tokens are written) ·
//! `worker graph FOLDER IDS` (the VISIT graph of layers 0 and 1 in one) ·
//! `worker sweeps FOLDER PAIRS.json` (lines `resid_pre`, `z`, `attribute`, `edges`) ·
//! `worker trajectories FOLDER IDS` (lines `geometry`, `words`, `pdf`: arrays of a run, and a heat map as PDF)

use std::io::{BufRead, Write};
use std::time::Instant;

use flowlens::experiment::Pairs;
use flowlens::flow::Method;
use flowlens::trajectory::ReadAs;
use flowlens::{Model, Result, Site, Trace};

fn main() -> Result<()> {
    let start = Instant::now();
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["empty"] => {
            let ones = tch::Tensor::ones([2, 2], (tch::Kind::Float, tch::Device::Cpu));
            assert_eq!(ones.matmul(&ones).sum(tch::Kind::Float).double_value(&[]), 8.0);
            println!("{} {}", start.elapsed().as_secs_f64(), memory());
        }
        ["load", folder] => {
            let before = Instant::now();
            let model = Model::load(folder)?;
            let (loaded, after_loading) = (before.elapsed().as_secs_f64(), memory());
            model.watch([1, 2, 3]).keep([]).run()?;
            println!("{loaded} {} {after_loading} {}", start.elapsed().as_secs_f64(), memory());
        }
        ["run", folder, ids] => {
            let (model, ids) = (Model::load(folder)?, numbers(ids));
            // What Python returns with attentions and hidden states.
            let python: Vec<Site> = model
                .sites()
                .into_iter()
                .filter(|site| matches!(site, Site::ResidPre(_) | Site::FinalNorm | Site::Pattern(_) | Site::Logits))
                .collect();
            answer(|line| {
                let watch = match line {
                    "watched" => model.watch(ids.clone()),
                    "python" => model.watch(ids.clone()).keep(python.iter().copied()),
                    _ => model.watch(ids.clone()).keep([]),
                };
                watch.run().map(drop)
            })?;
        }
        ["generate", folder, ids] => {
            let (model, ids) = (Model::load(folder)?, numbers(ids));
            answer(|line| {
                let sizes: Vec<usize> = line.split(' ').map(|size| size.parse().expect("two numbers")).collect();
                let written = model.generate(&ids[..sizes[0]]).max_tokens(sizes[1]).run()?;
                assert_eq!(written.ids.len(), sizes[1], "the model ended its text; take other ids");
                Ok(())
            })?;
        }
        ["graph", folder, ids] => {
            let trace: Trace = Model::load(folder)?.run(numbers(ids))?;
            answer(|_| {
                let graph = trace.flow_graph().layers([0, 1]).chain(true).target(262).method(Method::Visit).build()?;
                eprintln!("{} {}", graph.nodes().count(), graph.links().count());
                Ok(())
            })?;
        }
        ["trajectories", folder, ids] => {
            let trace = Model::load(folder)?.run(numbers(ids))?;
            let maps = trace.attention_maps().layers([0]).heads([0]).build()?.figure();
            answer(|line| {
                match line {
                    "pdf" => drop(maps.export().pdf()?),
                    "words" => drop(trace.walk().nearest(5, ReadAs::FinalNorm).build()?),
                    _ => {
                        let walk = trace.walk().build()?;
                        let cosines = trace.similarity_maps().build()?;
                        let products = trace.similarity_maps().dot().build()?;
                        let attributions = trace.attribution_maps()?;
                        eprintln!("{walk} {cosines} {products} {attributions}");
                    }
                }
                Ok(())
            })?;
        }
        ["sweeps", folder, pairs] => {
            let model = Model::load(folder)?;
            let pairs = Pairs::read(&model, pairs)?;
            answer(|line| {
                match line {
                    "resid_pre" => drop(model.sweep(&pairs).patch(Site::ResidPre).run()?),
                    "z" => drop(model.sweep(&pairs).patch(Site::HeadMix).run()?),
                    "edges" => drop(model.attribution_patching(&pairs).edges()?),
                    // The nodes that TransformerLens scores.
                    _ => {
                        let nodes = model.attribution_patching(&pairs).site(Site::HeadMix).and(Site::MlpOut);
                        drop(nodes.and(Site::ResidPre).run_all()?);
                    }
                }
                Ok(())
            })?;
            eprintln!("{}", memory());
        }
        _ => println!("benches/run.py calls this; see there"),
    }
    Ok(())
}

fn numbers(list: &str) -> Vec<i64> {
    list.split(',').map(|id| id.parse().expect("token ids are numbers")).collect()
}

/// Does the job once a line and prints the seconds it took.
fn answer(mut job: impl FnMut(&str) -> Result<()>) -> Result<()> {
    for line in std::io::stdin().lock().lines().map_while(std::result::Result::ok) {
        let before = Instant::now();
        job(line.trim())?;
        println!("{}", before.elapsed().as_secs_f64());
        std::io::stdout().flush().expect("run.py listens");
    }
    Ok(())
}

/// Megabytes that were resident at most, and those that are resident now.
fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let megabytes = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or("0");
        line.trim_matches(|c: char| !c.is_ascii_digit()).parse::<f64>().unwrap_or(0.0) / 1000.0
    };
    format!("{} {}", megabytes("VmHWM:"), megabytes("VmRSS:"))
}
