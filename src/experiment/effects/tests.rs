use super::*;

const NAN: f32 = f32::NAN;

/// Patches of 2 layers and 3 positions in 3 pairs, the last of which is two tokens long.
fn effects() -> Effects {
    let values = vec![0., 1., 2., 3., 4., 5., 1., 1., 2., 2., 3., 3., -1., 0., NAN, 1., 2., NAN];
    let tokens = |words: &[&str]| PairTokens {
        clean: words.iter().map(|word| (*word).to_owned()).collect(),
        right: vec!["</script>".to_owned()],
        ..PairTokens::default()
    };
    let candidate = Candidate { token: "a, \"b\"".to_owned(), prob: 0.25 };
    Effects {
        name: "patch.resid_pre".to_owned(),
        model: "tiny".to_owned(),
        metric: Metric::LogitDiff,
        kind: EffectKind::Patched,
        axes: vec![
            Axis::numbers("layer", 2),
            Axis { name: Axis::POSITION.to_owned(), labels: ["0 The", "1 cat", "2 ,"].map(str::to_owned).into() },
        ],
        values: Array::new(&[3, 2, 3], values).unwrap(),
        clean: vec![4., 3., 2.],
        corrupted: vec![0., 1., -1.],
        pairs: vec![tokens(&["The", "cat", ","]), tokens(&["A", "dog", "="]), tokens(&["It", "is"])],
        answers: vec![CellAnswers {
            pair: 1,
            clean: vec![candidate.clone()],
            cells: vec![vec![candidate]; 6],
            ..Default::default()
        }],
    }
}

/// Equal to a millionth, with what is not a number equal to itself.
fn near(found: &Array, shape: &[usize], wanted: &[f32]) {
    assert_eq!(found.shape(), shape);
    let equal = |a: f32, b: f32| (a.is_nan() && b.is_nan()) || (a - b).abs() < 1e-6;
    assert!(found.data().iter().zip(wanted).all(|(a, b)| equal(*a, *b)), "{found:?} {wanted:?}");
    assert_eq!(found.data().len(), wanted.len());
}

#[test]
fn means_leave_out_what_is_beyond_a_pairs_end() {
    let effects = effects();
    near(&effects.mean().unwrap(), &[2, 3], &[0., 2. / 3., 2., 2., 3., 4.]);
    let all = [0., 1., 2., 3., 4., 5., 0., 0., 1., 1., 2., 2., 0., 1., NAN, 2., 3., NAN];
    near(&effects.effects().unwrap(), &[3, 2, 3], &all);
    near(&effects.mean_effect().unwrap(), &[2, 3], &[0., 2. / 3., 1.5, 2., 3., 3.5]);
}

#[test]
fn normalised_is_the_part_of_the_way_between_the_baselines() {
    let mut effects = effects();
    // All three pairs go 4 + 2 + 3 on the way, the two that reach the last position 4 + 2.
    near(&effects.normalized().unwrap(), &[2, 3], &[0., 2. / 9., 0.5, 6. / 9., 1., 7. / 6.]);
    near(&effects.pair(2).unwrap().normalized().unwrap(), &[2, 3], &[0., 1. / 3., NAN, 2. / 3., 1., NAN]);
    effects.kind = EffectKind::Noised;
    // 0 is the clean run: the mirror image.
    near(&effects.normalized().unwrap(), &[2, 3], &[1., 7. / 9., 0.5, 3. / 9., 0., -1. / 6.]);
    effects.kind = EffectKind::Estimated;
    near(&effects.normalized().unwrap(), &[2, 3], &[0., 2. / 9., 4. / 6., 6. / 9., 1., 8. / 6.]);
    effects.kind = EffectKind::Ablated;
    near(&effects.mean_effect().unwrap(), &[2, 3], &[-3., -7. / 3., -1.5, -1., 0., 0.5]);
    assert!(effects.normalized().unwrap_err().to_string().contains("no second baseline"));
    effects.kind = EffectKind::Direct;
    assert!(effects.normalized().unwrap_err().to_string().contains("parts of the metric"));
    near(&effects.mean_effect().unwrap(), &[2, 3], effects.mean().unwrap().data());
}

#[test]
fn a_normalisation_by_nothing_is_refused() {
    let mut effects = effects();
    // Pairs that mirror each other: no mean way, though each pair has one. Rounding must not pass for a way.
    effects.clean = vec![1.0, 0.1, 0.2];
    effects.corrupted = vec![0.1, 0.2, 1.0 + 1e-7];
    let problem = effects.normalized().unwrap_err().to_string();
    assert!(problem.contains("patch.resid_pre cannot be normalised") && problem.contains("0.4333"), "{problem}");
    effects.pair(0).unwrap().normalized().unwrap();
    effects.clean = vec![0.0; 3];
    effects.corrupted = vec![0.0; 3];
    assert!(effects.normalized().is_err());
    effects.clean[0] = NAN;
    assert!(effects.normalized().is_err());
}

/// Effects of one layer and two heads in pairs with these effects.
fn of(pairs: &[[f32; 2]]) -> Effects {
    Effects {
        kind: EffectKind::Direct,
        axes: vec![Axis::numbers("head", 2)],
        values: Array::new(&[pairs.len(), 2], pairs.concat()).unwrap(),
        clean: vec![1.0; pairs.len()],
        corrupted: Vec::new(),
        pairs: Vec::new(),
        answers: Vec::new(),
        ..effects()
    }
}

#[test]
fn p_values_count_the_flips_that_are_as_far_from_nothing() {
    // Of the eight signs of 1, 2, 3 the sums 6 and -6 are as far; of 1, 2, -3 (sum 0) all are.
    let three = of(&[[1., 1.], [2., 2.], [3., -3.]]);
    near(&three.p_values().unwrap(), &[2], &[0.25, 1.0]);
    // 0.1 + 0.2 is rounded otherwise than 0.3 and equal all the same: flips of 0.1, 0.2, -0.3 and 0.3 reach the sum.
    near(&of(&[[0.3, 0.], [0.1, 0.], [0.2, 0.]]).p_values().unwrap(), &[2], &[0.25, 1.0]);
    near(&of(&[[5., 0.]]).p_values().unwrap(), &[2], &[1.0, 1.0]);
    let twelve: Vec<[f32; 2]> =
        (0..12).map(|pair| [1.0 + pair as f32, if pair % 2 == 0 { 1.0 } else { -1.0 }]).collect();
    near(&of(&twelve).p_values().unwrap(), &[2], &[2.0 / 4096.0, 1.0]);
}

#[test]
fn random_flips_are_near_the_exact_test_and_come_out_again() {
    // 13 pairs, of which exactly one is against: sums of at least 11 of 13 have 14 of 8192 signs, and as many below.
    let pairs: Vec<[f32; 2]> = (0..13).map(|pair| [if pair == 0 { -1.0 } else { 1.0 }, 1.0]).collect();
    let found = of(&pairs).p_values().unwrap();
    let wanted = 28.0 / 8192.0;
    assert!((found.data()[0] - wanted).abs() < 3.0 * (wanted / 10_000.0).sqrt(), "{found:?}");
    assert!(found.data()[1] >= 1.0 / 10_001.0 && found.data()[1] < 0.002, "{found:?}");
    assert_eq!(found, of(&pairs).p_values().unwrap());
}

#[test]
fn intervals_hold_the_mean_and_widen_with_the_level() {
    // 40 pairs between 0 and 1: the bootstrap of their mean is nearly normal, with a deviation of s / sqrt(40).
    let pairs: Vec<[f32; 2]> = (0..40).map(|pair| [((pair * 17) % 40) as f32 / 39.0, 2.0]).collect();
    let effects = of(&pairs);
    let (low, high) = effects.interval(0.95).unwrap();
    let deviation = (pairs.iter().map(|pair| (pair[0] - 0.5).powi(2)).sum::<f32>() / 40.0).sqrt() / 40f32.sqrt();
    assert!((low.data()[0] - (0.5 - 1.96 * deviation)).abs() < 0.015, "{low:?} {deviation}");
    assert!((high.data()[0] - (0.5 + 1.96 * deviation)).abs() < 0.015, "{high:?} {deviation}");
    assert_eq!((low.data()[1], high.data()[1]), (2.0, 2.0));
    let (wide, _) = effects.interval(0.99).unwrap();
    assert!(wide.data()[0] < low.data()[0]);
    assert_eq!(effects.interval(0.95).unwrap().0, low);
    assert!(effects.interval(95.0).unwrap_err().to_string().contains("between 0 and 1"));
    let (alone, _) = of(&[[5., 0.]]).interval(0.95).unwrap();
    assert!(alone.data().iter().all(|bound| bound.is_nan()), "one pair has no interval");
}

#[test]
fn the_top_cells_come_by_size() {
    let effects = effects();
    let top = effects.top(2).unwrap();
    assert_eq!((top[0].index.as_slice(), top[0].place.join("/").as_str()), (&[1, 2][..], "1/2 ,"));
    assert_eq!((top[0].effect, top[1].effect), (3.5, 3.0));
    assert!((top[0].normalized.unwrap() - 7.0 / 6.0).abs() < 1e-6);
    let (low, high) = effects.interval(0.95).unwrap();
    assert_eq!(top[1].interval, Some((low.data()[4], high.data()[4])));
    assert_eq!(top[1].p, effects.p_values().unwrap().data()[4]);
    assert_eq!(effects.top(100).unwrap().len(), 6);
    let text = effects.to_string();
    assert!(
        text.starts_with(
            "patch.resid_pre of tiny: 2 layers x 3 positions, 3 pairs\nmean logit difference: clean 3.000"
        ),
        "{text}"
    );
    assert!(text.lines().nth(3).unwrap().starts_with("1      2 ,       3.500   1.167"), "{text}");
}

/// What is saved and read back, or the error.
fn again(effects: &Effects, name: &str) -> (Vec<u8>, Result<Effects>) {
    let path = std::env::temp_dir().join(format!("flowlens-effects-{}-{name}", std::process::id()));
    effects.save(&path).unwrap();
    let (bytes, read) = (std::fs::read(&path).unwrap(), Effects::read(&path));
    std::fs::remove_file(&path).unwrap();
    (bytes, read)
}

#[test]
fn files_hold_everything() {
    for kind in [EffectKind::Patched, EffectKind::Ablated] {
        let mut effects = Effects { kind, ..effects() };
        if kind == EffectKind::Ablated {
            effects.corrupted = Vec::new();
        }
        for name in ["a.json", "a.safetensors"] {
            let read = again(&effects, name).1.unwrap();
            near(&read.values, &[3, 2, 3], effects.values.data());
            // What is not a number equals nothing.
            assert_eq!(Effects { values: effects.values.clone(), ..read.clone() }.name, effects.name);
            let same = |effects: &Effects| Effects { values: Array::new(&[0], Vec::new()).unwrap(), ..effects.clone() };
            assert_eq!(same(&read), same(&effects), "{name}");
        }
    }
}

#[test]
fn a_table_has_a_row_for_each_cell_and_pair() {
    let (bytes, read) = again(&effects(), "b.csv");
    assert!(read.is_err(), "a table holds no axes");
    let text = String::from_utf8(bytes).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "pair,layer,position,value,effect,clean,corrupted");
    assert_eq!(lines[3], "0,0,\"2 ,\",2,2,4,0", "what has a comma is quoted");
    assert_eq!(lines[7], "1,0,0 A,1,0,3,1", "each pair has its own tokens");
    assert_eq!(lines.len(), 1 + 18 - 2, "not what is beyond a pair's end");
}

#[test]
fn what_does_not_fit_is_refused() {
    let shorter = Effects { clean: vec![1.0, 2.0], ..effects() };
    let problem = shorter.mean().unwrap_err().to_string();
    assert!(problem.contains("[3, 2, 3]") && problem.contains("[2, 2, 3]"), "{problem}");
    let without = Effects { corrupted: Vec::new(), ..effects() };
    assert!(without.normalized().unwrap_err().to_string().contains("0 corrupted baselines for 3 pairs"));
    assert!(without.to_string().contains("0 corrupted baselines"));
    assert!(effects().pair(3).unwrap_err().to_string().contains("no pair 3"));
    let path = std::env::temp_dir().join(format!("flowlens-effects-{}.json", std::process::id()));
    let refused = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let problem = Effects::read(&path).unwrap_err().to_string();
        std::fs::remove_file(&path).unwrap();
        problem
    };
    assert!(refused("{}").contains("holds no effects"));
    let (bytes, _) = again(&effects(), "c.json");
    let text = String::from_utf8(bytes).unwrap();
    assert!(refused(&text[..text.len() / 2]).contains("holds no effects"));
    assert!(refused(&text.replace("\"shape\":[3,2,3]", "\"shape\":[3,3,2]")).contains("ask for [3, 2, 3]"));
    assert!(effects().save("/nowhere/a.json").is_err());
    assert!(effects().save("a.xlsx").unwrap_err().to_string().contains(".csv"));
}
