//! Lesson 6.

use flowlens::trajectory::LayerMaps;
use flowlens::{Array, Change, Model, Seq2Seq, Site, Trace, check};
use safetensors::SafeTensors;

use crate::{not_yet, refused, right, tiny};

#[test]
fn the_slowest_pair() {
    // Heads of 8 numbers are four pairs, the base is 500,000: the slowest turns by 500,000^(-6/8), the fastest by 1.
    let (model, turn, step) = (tiny("llama_gqa"), std::f64::consts::TAU, 500_000f64.powf(-0.75));
    right(check::steps_for_a_turn(turn / step, &model));
    right(check::steps_for_a_turn(118_000, &model));
    not_yet(check::steps_for_a_turn(turn, &model), "turns fastest");
    not_yet(check::steps_for_a_turn(360.0 / step, &model), "radians");
    not_yet(check::steps_for_a_turn(1.0 / step, &model), "one radian");
    not_yet(check::steps_for_a_turn(step, &model), "angle of one step");
    not_yet(check::steps_for_a_turn(0, &model), "smallest");
    not_yet(check::steps_for_a_turn(f64::NAN, &model), "smallest");
    refused(check::steps_for_a_turn(turn, &tiny("gpt2")), "does not turn");
}

/// T5's own rule: of 32 numbers 16 are for keys behind the query; the first eight distances have one each.
fn bucket(offset: i64) -> usize {
    let (side, distance) = (if offset > 0 { 16 } else { 0 }, offset.unsigned_abs() as usize);
    let far = || 8 + ((distance as f64 / 8.0).ln() / 16f64.ln() * 8.0) as usize;
    side + if distance < 8 { distance } else { far().min(15) }
}

#[test]
fn who_looks_ahead() {
    let model = tiny("t5_tied");
    let file = std::fs::read("tests/fixtures/parity/t5_tied/model.safetensors").unwrap();
    let file = SafeTensors::deserialize(&file).unwrap();
    let name = "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight";
    let table: Vec<f64> = (file.tensor(name).unwrap().data().chunks(4))
        .map(|bytes| f64::from(f32::from_le_bytes(bytes.try_into().unwrap())))
        .collect();
    let share = |head: usize, wanted: fn(i64) -> bool| {
        let part = |offsets: &mut dyn Iterator<Item = i64>| -> f64 {
            offsets.map(|o| table[bucket(o) * 4 + head].exp()).sum()
        };
        part(&mut (-16..=16).filter(|&offset| wanted(offset))) / part(&mut (-16..=16))
    };
    let most = |wanted: fn(i64) -> bool| (0..4).max_by(|&a, &b| share(a, wanted).total_cmp(&share(b, wanted))).unwrap();
    let ahead = most(|offset| offset > 0);
    for head in 0..4 {
        match head == ahead {
            true => right(check::looks_ahead(head, &model)),
            false => not_yet(check::looks_ahead(head, &model), ""),
        }
    }
    not_yet(check::looks_ahead(4, &model), "There is no head 4");
    refused(check::looks_ahead(0, &tiny("llama_gqa")), "do not stand in the weights");
}

fn distance(maps: &LayerMaps, part: &Array, head: usize, masked: bool) -> f64 {
    let shape = maps.probabilities.shape();
    let (queries, keys) = (shape[1], shape[2]);
    let mut sum = 0.0;
    for query in 0..queries {
        let weight = |key: usize| match !masked || maps.visible[query * keys + key] {
            true => f64::from(part.get(&[head, query, key]).unwrap()).exp(),
            false => 0.0,
        };
        let all: f64 = (0..keys).map(weight).sum();
        let off = |key: usize| f64::from(maps.probabilities.get(&[head, query, key]).unwrap()) - weight(key) / all;
        sum += (0..keys).map(|key| off(key).abs()).sum::<f64>();
    }
    sum
}

#[test]
fn who_is_nearest_to_its_kernel() {
    let model = tiny("t5_tied");
    let trace = model.run(Seq2Seq { source: "one two three four five", target: "six seven eight nine" }).unwrap();
    for block in ["encoder", "decoder"] {
        for layer in 0..2 {
            let maps = trace.attention_maps().block(block).layers([layer]).build().unwrap();
            let maps = &maps.blocks[0].layers[0];
            let bias = maps.bias.as_ref().unwrap();
            let nearest = |part: &Array, masked: bool| {
                let distances = (0..4).map(|head| distance(maps, part, head, masked));
                distances.enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap().0
            };
            let answer = nearest(bias, true);
            right(check::nearest_to_its_kernel(answer, block, layer, &trace));
            for head in (0..4).filter(|&head| head != answer) {
                let hint = match head {
                    _ if head == nearest(bias, false) => "cannot see",
                    _ if head == nearest(&maps.content, true) => "*content*",
                    _ => "softmax of the layer's bias",
                };
                not_yet(check::nearest_to_its_kernel(head, block, layer, &trace), hint);
            }
        }
    }
    not_yet(check::nearest_to_its_kernel(4, "encoder", 0, &trace), "There is no head 4");
    let llama = tiny("llama_gqa").run("one two three").unwrap();
    refused(check::nearest_to_its_kernel(0, "all", 0, &llama), "nothing is added");
    assert!(check::nearest_to_its_kernel(0, "encoder", 9, &trace).is_err());
}

#[test]
fn which_words_are_alike() {
    let model = tiny("llama_gqa");
    let trace = model.run([3i64, 7, 11, 3, 19, 23, 7, 31]).unwrap();
    let vectors = trace.get(Site::FinalNorm).unwrap();
    let row = |place: usize| vectors.row(place).unwrap().data().iter().map(|&x| f64::from(x)).collect::<Vec<f64>>();
    let dot = |a: usize, b: usize| row(a).iter().zip(row(b)).map(|(a, b)| a * b).sum::<f64>();
    let cosine = |a: usize, b: usize| dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
    let ids = trace.ids();
    let mut pairs: Vec<(usize, usize)> = (0..8).flat_map(|b| (0..b).map(move |a| (a, b))).collect();
    pairs.retain(|&(a, b)| b - a > 3 && ids[a] != ids[b]);
    let (a, b) = pairs.iter().copied().max_by(|x, y| cosine(x.0, x.1).total_cmp(&cosine(y.0, y.1))).unwrap();
    right(check::most_alike_apart((a, b), &trace));
    right(check::most_alike_apart((b, a), &trace));
    not_yet(check::most_alike_apart((2, 2), &trace), "itself");
    not_yet(check::most_alike_apart((1, 6), &trace), "same token");
    not_yet(check::most_alike_apart((4, 5), &trace), "neighbours");
    not_yet(check::most_alike_apart((2, 8), &trace), "There is no position 8");
    let other = pairs.iter().find(|pair| **pair != (a, b)).unwrap();
    not_yet(check::most_alike_apart(*other, &trace), "");
    let (x, y) = pairs.iter().copied().max_by(|x, y| dot(x.0, x.1).total_cmp(&dot(y.0, y.1))).unwrap();
    if (x, y) != (a, b) {
        not_yet(check::most_alike_apart((x, y), &trace), "shout");
    }
    refused(check::most_alike_apart((0, 1), &model.run([3i64, 7]).unwrap()), "longer one");
}

#[test]
fn where_the_first_vector_grows() {
    let model = tiny("llama_deep");
    let ids = || vec![3i64, 14, 15, 9, 26];
    let far = Change::scale(Site::ResidPost(3), 10_000.0).position(0);
    let trace = model.watch(ids()).change(far).run().unwrap();
    right(check::beacon_begins(3, &trace));
    not_yet(check::beacon_begins(2, &trace), "deeper");
    not_yet(check::beacon_begins(4, &trace), "already");
    not_yet(check::beacon_begins(8, &trace), "already");
    not_yet(check::beacon_begins(9, &trace), "There is no layer 9");
    refused(check::beacon_begins(3, &model.run(ids()).unwrap()), "never stands out");
    assert!(check::beacon_begins(3, &model.watch(ids()).keep([Site::ResidPost(3)]).run().unwrap()).is_err());
}

#[test]
fn a_text_of_one_token_has_no_others() {
    let one: Trace = tiny("llama_deep").run([3i64]).unwrap();
    refused(check::beacon_begins(0, &one), "several tokens");
}

#[test]
#[ignore = "needs the starter models"]
fn the_solutions_of_the_lesson() {
    let (smol, t5) = (Model::load("smollm2-135m").unwrap(), Model::load("notebooks/models/t5-verses").unwrap());
    right(check::looks_ahead(2, &t5));
    not_yet(check::looks_ahead(3, &t5), "very next place");
    not_yet(check::looks_ahead(0, &t5), "what came before");
    right(check::steps_for_a_turn(438_460, &smol));
    let words = smol.run("the cat and the dog and the cat").unwrap();
    right(check::beacon_begins(11, &words));
    not_yet(check::beacon_begins(2, &words), "not yet so long");
    let source = "And Ruth said, Intreat me not to leave thee, or to return from following after thee: for whither thou goest, I will go;";
    let target =
        "Ruth said, \"Don't urge me to leave you, and to return from following you, for where you go, I will go;";
    let ruth = t5.run(Seq2Seq { source, target }).unwrap();
    right(check::nearest_to_its_kernel(5, "decoder", 0, &ruth));
    not_yet(check::nearest_to_its_kernel(0, "decoder", 0, &ruth), "cannot see");
    let verse = "for whither thou goest, I will go; and where thou lodgest, I will lodge: thy people shall be my people, and thy God my God:";
    let repeats = t5.run(verse).unwrap();
    right(check::most_alike_apart((8, 18), &repeats));
    not_yet(check::most_alike_apart((31, 33), &repeats), "close together");
}
