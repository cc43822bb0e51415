//! `flowlens trajectories`

use flowlens::Site;
use flowlens::files::prepare_folder;
use flowlens::trajectory::{SimilarityMaps, Walk};

use crate::args::TrajectoriesArgs;
use crate::output::{Done, wrote};

pub fn arrays(args: TrajectoriesArgs) -> Done {
    let input = args.input.read()?;
    let model = args.model.load()?;
    let of_weights = |site: &Site| matches!(site.plain(), Site::Pattern(_) | Site::PositionBias(_) | Site::Logits);
    let others = model.sites().into_iter().filter(of_weights);
    let sites = Walk::sites(&model).into_iter().chain(SimilarityMaps::sites(&model)).chain(others);
    let trace = model.watch(input).keep(sites).memory_limit_mb(args.model.memory_limit.unwrap_or(8_000)).run()?;
    prepare_folder(&args.data)?;
    trace.save_trajectories(&args.data)?;
    wrote(&args.data, &format!(" ({} tokens)", trace.len()));
    Ok(())
}
