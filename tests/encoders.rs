//! What holds for encoders beyond the numbers that Python gives.

use std::path::PathBuf;

use flowlens::{Array, Input, Model, Site};
use safetensors::SafeTensors;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity").join(name)
}

fn load(name: &str) -> Model {
    Model::load(fixture(name).to_str().unwrap()).unwrap()
}

fn input(name: &str) -> Input {
    Input::from_file(fixture(name).join("expected.safetensors")).unwrap()
}

/// Products of queries and keys (H,T,d), scaled.
fn products(query: &Array, key: &Array, scale: f64) -> Vec<f64> {
    let [heads, count, width] = query.shape() else { panic!("{:?}", query.shape()) };
    let number = |array: &Array, head, row, column| f64::from(array.get(&[head, row, column]).unwrap());
    let mut all = Vec::new();
    for head in 0..*heads {
        for to in 0..*count {
            for from in 0..*count {
                let product: f64 = (0..*width).map(|i| number(query, head, to, i) * number(key, head, from, i)).sum();
                all.push(product * scale);
            }
        }
    }
    all
}

#[test]
fn scores_are_products_of_queries_and_keys_plus_what_positions_add() {
    for name in ["bert", "mpnet", "xlnet", "xlnet_uni_clamped", "deberta_v2", "deberta_both"] {
        let model = load(name);
        let trace = model.run(input(name)).unwrap();
        let scale = model.architecture().main.blocks[1].attention.scale;
        let get = |site| trace.get(site).unwrap();
        let plain = products(&get(Site::Query(1)), &get(Site::Key(1)), scale);
        let scores = get(Site::Scores(1));
        let bias = match name {
            "bert" => vec![0.0; scores.data().len()],
            _ => get(Site::PositionBias(1)).data().to_vec(),
        };
        for ((score, plain), bias) in scores.data().iter().zip(plain).zip(bias) {
            let sum = plain + f64::from(bias);
            assert!((f64::from(*score) - sum).abs() < 1e-4 * (1.0 + sum.abs()), "{name}: {score} is not {sum}");
        }
    }
}

#[test]
fn a_bare_encoder_has_everything_but_logits() {
    let model = load("bert_bare");
    assert!(!model.sites().contains(&Site::Logits));
    let trace = model.run(input("bert_bare")).unwrap();
    assert_eq!(trace.get(Site::FinalNorm).unwrap().shape(), [trace.len(), 24]);
    assert!(trace.get(Site::Logits).is_err());
}

/// These files hold what is computed and nothing else, tied tables once, but XLNet's vector for masked tokens.
#[test]
fn parameters_are_those_of_the_file() {
    for (name, unused) in [
        ("bert", 0),
        ("roberta", 0),
        ("distilbert", 0),
        ("albert", 0),
        ("albert_inner", 0),
        ("electra_padded", 0),
        ("mpnet", 0),
        ("modernbert_options", 0),
        ("xlm", 0),
        ("xlm_languages", 0),
        ("xlnet", 48),
        ("deberta_both", 0),
        ("deberta_v2", 0),
        ("deberta_v2_no_buckets", 0),
        ("deberta_v2_conv_groups", 0),
    ] {
        let bytes = std::fs::read(fixture(name).join("model.safetensors")).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let stored: usize = file.iter().map(|(_, view)| view.shape().iter().product::<usize>()).sum();
        assert_eq!(load(name).architecture().parameters() as usize, stored - unused, "{name}");
    }
}
