use super::*;
use crate::model::architecture::NormKind;

fn lens(centred: bool, soft_cap: Option<f64>) -> Lens {
    tch::manual_seed(3);
    let random = |shape: &[i64]| Tensor::randn(shape, (Kind::Float, tch::Device::Cpu));
    let norm = Norm {
        kind: if centred { NormKind::Layer { eps: 1e-5 } } else { NormKind::Rms { eps: 1e-5 } },
        gain: random(&[8]).abs() + 0.5,
        bias: centred.then(|| random(&[8])),
    };
    let readout = Readout {
        norm: Some(norm),
        project: None,
        head: Head { transform: None, weight: random(&[40, 8]), bias: Some(random(&[40])), scale: 0.5, soft_cap },
    };
    Lens::new(readout, None)
}

fn vectors(rows: i64) -> Tensor {
    Tensor::randn([rows, 8], (Kind::Float, tch::Device::Cpu)) * 3.
}

#[test]
fn reads_what_the_plain_formula_gives() {
    for (centred, cap) in [(true, None), (false, Some(2.))] {
        let lens = lens(centred, cap).targets([7, 0]);
        let vectors = vectors(6);
        let logits = Array::from_tensor(&lens.logits(&vectors).unwrap()).unwrap();
        let readings = lens.read_tensor(&vectors).unwrap();
        for (row, reading) in readings.iter().enumerate() {
            let logits = logits.row(row).unwrap();
            let sum: f64 = logits.data().iter().map(|&x| f64::from(x).exp()).sum();
            let probs: Vec<f64> = logits.data().iter().map(|&x| f64::from(x).exp() / sum).collect();
            let entropy: f64 = -probs.iter().map(|p| p * p.log2()).sum::<f64>();
            assert!((f64::from(reading.entropy) - entropy).abs() < 1e-5, "{} {entropy}", reading.entropy);
            let mut order: Vec<usize> = (0..40).collect();
            order.sort_by(|&a, &b| probs[b].total_cmp(&probs[a]));
            let ids = |list: &[TokenScore]| list.iter().map(|t| t.id as usize).collect::<Vec<_>>();
            assert_eq!(ids(&reading.top), order[..5]);
            assert_eq!(ids(&reading.bottom), order.iter().rev().take(5).copied().collect::<Vec<_>>());
            assert!((f64::from(reading.top[0].prob) - probs[order[0]]).abs() < 1e-6);
            let rank = 1 + order.iter().position(|&id| id == 7).unwrap();
            assert_eq!(reading.targets[0].rank, rank);
            assert_eq!(reading.targets[1].id, 0);
        }
    }
}

#[test]
fn equal_vectors_give_equal_readings_in_their_places() {
    let lens = lens(true, None);
    let two = vectors(2);
    let (a, b) = (two.get(0), two.get(1));
    let readings = lens.read_tensor(&Tensor::stack(&[&a, &b, &a, &a, &b], 0)).unwrap();
    assert_eq!(readings[0], readings[2]);
    assert_eq!(readings[0], readings[3]);
    assert_eq!(readings[1], readings[4]);
    assert_ne!(readings[0], readings[1]);
}

#[test]
fn frozen_logits_of_parts_add_up_and_agree_with_the_attribution() {
    for centred in [true, false] {
        let whole = vectors(1);
        let parts = vectors(3);
        let rest = &whole - parts.sum_dim_intlist(0, true, Kind::Float);
        let attribution = lens(centred, Some(1.)).attribution(5, &whole.get(0)).unwrap();
        let frozen = lens(centred, Some(1.)).frozen(&Array::from_tensor(&whole).unwrap()).unwrap();
        let all = frozen.logits(&Tensor::cat(&[&parts, &rest], 0)).unwrap();
        let sum = all.sum_dim_intlist(0, true, Kind::Float);
        let difference = (sum - frozen.logits(&whole).unwrap()).abs().max().double_value(&[]);
        assert!(difference < 1e-4, "{difference}");
        let by_direction = parts.matmul(&attribution);
        let by_lens = all.narrow(0, 0, 3).select(1, 5);
        assert!((by_direction - by_lens).abs().max().double_value(&[]) < 1e-4);
    }
}

#[test]
fn the_average_attribution_is_the_mean_over_the_vocabulary() {
    let stream = vectors(1).get(0);
    let lens = lens(true, None);
    let all: Vec<Tensor> = (0..40).map(|id| lens.attribution(id, &stream).unwrap()).collect();
    let mean = Tensor::stack(&all, 0).mean_dim(0i64, false, Kind::Float);
    let difference = (mean - lens.average_attribution(&stream).unwrap()).abs().max().double_value(&[]);
    assert!(difference < 1e-6, "{difference}");
}

#[test]
fn refuses_what_does_not_fit() {
    let short = Array::new(&[2, 7], vec![0.; 14]).unwrap();
    assert!(lens(true, None).read(&short).unwrap_err().to_string().contains("width 8"));
    let good = Array::new(&[8], vec![1.; 8]).unwrap();
    assert!(lens(true, None).targets([40]).read(&good).unwrap_err().to_string().contains("40 tokens"));
    assert_eq!(lens(true, None).read(&good).unwrap().len(), 1);
    assert!(lens(true, None).frozen(&Array::new(&[2, 8], vec![1.; 16]).unwrap()).is_err());
}
