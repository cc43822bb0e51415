//! One model, several threads.

use flowlens::{Model, Site};

use super::*;

#[test]
fn eight_threads_on_one_model_compute_what_one_does() {
    let _turn = turn();
    for family in ["llama_gqa", "bert_pair", "t5_gated"] {
        let model = Model::load(fixture(family)).unwrap();
        let input = |number: i64| -> Vec<i64> { (0..12 + number).map(|id| 3 + (id * 7 + number) % 50).collect() };
        let run = |model: &Model, number: i64| -> Vec<(Site, Vec<u32>)> {
            let trace = model.run(input(number)).unwrap();
            let bits = |site| trace.get(site).unwrap().data().iter().map(|value| value.to_bits()).collect();
            trace.sites().into_iter().map(|site| (site, bits(site))).collect()
        };
        let alone: Vec<_> = (0..8).map(|number| run(&model, number)).collect();
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|thread| {
                    let (model, alone) = (&model, &alone);
                    scope.spawn(move || {
                        for round in 0..8 {
                            let number = (thread + round) % 8;
                            assert!(run(model, number) == alone[number as usize], "{family}, input {number}");
                        }
                    })
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
    }
}
