//! `flowlens sweep`

use flowlens::experiment::{Ablation, By, Effects, Metric, Pair, Pairs};
use flowlens::files::prepare_folder;
use flowlens::{Error, Model, Site};

use crate::args::SweepArgs;
use crate::output::{Done, check_output, is_output, print, wrote};
use crate::pictures::write;

type SiteOf = fn(usize) -> Site;

/// The names that `--patch` and `--site` take.
const SITES: [(&str, SiteOf); 26] = [
    ("resid_pre", Site::ResidPre),
    ("resid_mid", Site::ResidMid),
    ("resid_post", Site::ResidPost),
    ("attn_out", Site::AttnOut),
    ("mlp_out", Site::MlpOut),
    ("z", Site::HeadMix),
    ("q", Site::Query),
    ("k", Site::Key),
    ("v", Site::Value),
    ("pattern", Site::Pattern),
    ("neurons", Site::Neurons),
    ("encoder_resid_pre", Site::EncoderResidPre),
    ("encoder_resid_mid", Site::EncoderResidMid),
    ("encoder_attn_out", Site::EncoderAttnOut),
    ("encoder_mlp_out", Site::EncoderMlpOut),
    ("encoder_z", Site::EncoderHeadMix),
    ("encoder_q", Site::EncoderQuery),
    ("encoder_k", Site::EncoderKey),
    ("encoder_v", Site::EncoderValue),
    ("encoder_pattern", Site::EncoderPattern),
    ("cross_out", Site::CrossOut),
    ("cross_z", Site::CrossHeadMix),
    ("cross_q", Site::CrossQuery),
    ("cross_k", Site::CrossKey),
    ("cross_v", Site::CrossValue),
    ("cross_pattern", Site::CrossPattern),
];

pub fn run(args: SweepArgs) -> Done {
    let model = args.model.load()?;
    let pairs = pairs(&args, &model)?;
    if args.all {
        let out =
            args.out.as_ref().ok_or_else(|| Error::Input("--all writes a file; name it with --out".to_owned()))?;
        prepare_folder(out)?;
        pairs.save_experiments(out)?;
        wrote(out, "");
        return Ok(());
    }
    let names: Vec<&str> = match (args.patch.as_slice(), &args.ablate) {
        ([], None) => vec!["resid_pre"],
        ([], Some(_)) => vec!["z"],
        (names, _) => names.iter().map(String::as_str).collect(),
    };
    let draws = args.html.is_some() || args.pictures.any();
    if names.len() > 1 && (draws || args.out.is_some() || args.resume.is_some()) {
        return Err(Error::Input("files hold one sweep; name one site for each command".to_owned()).into());
    }
    let files = [&args.out, &args.html, &args.pictures.svg, &args.pictures.pdf, &args.pictures.png];
    check_output(files)?;
    for name in names {
        let effects = effects(&args, &model, &pairs, site(name)?)?;
        if let Some(path) = &args.out {
            prepare_folder(path)?;
            effects.save(path)?;
            wrote(path, "");
        }
        if draws {
            write(&effects.figure()?, args.html.clone(), None, &args.pictures)?;
        }
        if !files.into_iter().flatten().any(|path| is_output(path)) {
            print(&format!("{effects}\n"))?;
        }
    }
    Ok(())
}

fn effects(args: &SweepArgs, model: &Model, pairs: &Pairs, site: SiteOf) -> Result<Effects, Error> {
    let metric: Metric = args.metric.parse()?;
    let by = args.by.as_deref().map(by).transpose()?;
    if args.attribute {
        let attribution = model.attribution_patching(pairs).site(site).metric(metric).steps(args.steps);
        return by.into_iter().fold(attribution, |attribution, by| attribution.by(by)).run();
    }
    let sweep = model.sweep(pairs).metric(metric);
    let sweep = match args.ablate.as_deref() {
        Some(kind) => sweep.ablate(site, ablation(kind)?),
        None => sweep.patch(site),
    };
    let sweep = if args.noising { sweep.noising() } else { sweep };
    let sweep = by.into_iter().fold(sweep, |sweep, by| sweep.by(by));
    let sweep = args.resume.iter().fold(sweep, |sweep, file| sweep.resume(file));
    if args.estimate {
        eprintln!("{}", sweep.estimate()?);
    }
    sweep.run()
}

fn pairs(args: &SweepArgs, model: &Model) -> Result<Pairs, Error> {
    if let Some(file) = &args.pairs {
        return Pairs::read(model, file);
    }
    let clean = args.clean.as_deref();
    let clean = clean.ok_or_else(|| Error::Input("give the pairs with --pairs, or one with --clean".to_owned()))?;
    let pair = match &args.corrupted {
        Some(corrupted) => Pair::new(clean, corrupted.as_str()),
        None => Pair::only(clean),
    };
    let pair = args.right.iter().fold(pair, |pair, right| pair.right(right.as_str()));
    model.pairs([args.wrong.iter().fold(pair, |pair, wrong| pair.wrong(wrong.as_str()))])
}

fn site(name: &str) -> Result<SiteOf, Error> {
    SITES.iter().find(|(own, _)| *own == name.trim()).map(|(_, site)| *site).ok_or_else(|| {
        let names: Vec<&str> = SITES.iter().map(|(name, _)| *name).collect();
        Error::Input(format!("{name:?} is no site of a sweep; choose one of {}", names.join(", ")))
    })
}

fn by(name: &str) -> Result<By, Error> {
    Ok(match name.replace(' ', "").as_str() {
        "layer" => By::Layer,
        "layer,position" => By::LayerPosition,
        "layer,head" => By::LayerHead,
        "layer,head,position" | "layer,position,head" => By::LayerHeadPosition,
        "layer,neuron" => By::LayerNeuron,
        _ => {
            return Err(Error::Input(format!(
                "{name:?} is nothing to go over; choose layer, layer,position, layer,head, layer,head,position or \
                 layer,neuron"
            )));
        }
    })
}

fn ablation(name: &str) -> Result<Ablation, Error> {
    Ok(match name {
        "zero" => Ablation::Zero,
        "mean" => Ablation::Mean,
        "mean-by-position" => Ablation::MeanByPosition,
        "resample" => Ablation::Resample,
        _ => {
            return Err(Error::Input(format!(
                "{name:?} is no ablation; choose zero, mean, mean-by-position or resample"
            )));
        }
    })
}
