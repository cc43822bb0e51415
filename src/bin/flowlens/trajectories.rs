//! `flowlens trajectories`

use flowlens::Site;

use crate::args::TrajectoriesArgs;
use crate::output::{Done, prepare_folder};

pub fn arrays(args: TrajectoriesArgs) -> Done {
    let input = args.input.read()?;
    let model = args.model.load()?;
    // Everything but what is large and goes into no array.
    let needless = |site: &Site| {
        matches!(
            site.plain(),
            Site::Query(_)
                | Site::Key(_)
                | Site::Value(_)
                | Site::RotatedQuery(_)
                | Site::RotatedKey(_)
                | Site::HeadMix(_)
                | Site::HeadOutput(_)
                | Site::MlpPre(_)
                | Site::MlpGate(_)
                | Site::Neurons(_)
                | Site::Scores(_)
        )
    };
    let sites = model.sites().into_iter().filter(|site| !needless(site));
    let trace = model.watch(input).keep(sites).memory_limit_mb(8_000).run()?;
    prepare_folder(&args.data)?;
    trace.save_trajectories(&args.data)?;
    eprintln!("wrote {} ({} tokens)", args.data.display(), trace.len());
    Ok(())
}
