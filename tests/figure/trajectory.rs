//! Figures of trajectories: pages for the browser, and what still pictures and pages must hold.

mod data;

use flowlens::{Figure, Gallery};

use data::{attention, attribution, decoding, hostile, kernels, similarity, walk, words};

fn all() -> Vec<(&'static str, Figure)> {
    let text = words(14);
    vec![
        ("position_kernels", kernels().figure()),
        ("attention_maps", attention(&text, 3, 4).figure()),
        ("similarity_maps", similarity(&text, 5).figure()),
        ("walk", walk(&words(8), 7).figure()),
        ("decoding", decoding(&text).figure()),
        ("attribution_maps", attribution(&text, 4).figure()),
    ]
}

#[test]
fn writes_trajectories() {
    let folder = super::folder("figures");
    for (name, figure) in all() {
        figure.save(folder.join(format!("{name}.html"))).unwrap();
        figure.save(folder.join(format!("{name}.svg"))).unwrap();
    }
    let opened = attention(&words(14), 3, 4).figure_of("decoder", 1, &[0, 2]).unwrap();
    opened.save(folder.join("attention_maps_two.html")).unwrap();
    opened.save(folder.join("attention_maps_two.svg")).unwrap();
    let hostile = hostile();
    let figures = [
        attention(&hostile, 1, 2).figure(),
        similarity(&hostile, 2).figure(),
        walk(&hostile, 3).figure(),
        decoding(&hostile).figure(),
    ];
    Gallery::new(figures).save(folder.join("trajectory_hostile.html")).unwrap();
    attention(&words(512), 1, 16).figure().save(folder.join("attention_maps_long.html")).unwrap();
    similarity(&words(512), 25).figure().save(folder.join("similarity_maps_long.html")).unwrap();
    walk(&words(512), 25).figure().save(folder.join("walk_long.html")).unwrap();
}
