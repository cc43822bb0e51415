//! Figures of trajectories: pages for the browser, and what still pictures and pages must hold.

mod data;

use flowlens::Figure;
use flowlens::trajectory::Walk;

use data::{attention, attribution, decoding, kernels, similarity, walk, words};

pub fn all() -> Vec<(&'static str, Figure)> {
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
    let written = Walk { given: Some(3), ..walk(&words(8), 7) }.figure();
    written.save(folder.join("walk_written.html")).unwrap();
    written.save(folder.join("walk_written.svg")).unwrap();
    attention(&words(512), 1, 16).figure().save(folder.join("attention_maps_long.html")).unwrap();
    similarity(&words(512), 25).figure().save(folder.join("similarity_maps_long.html")).unwrap();
    walk(&words(512), 25).figure().save(folder.join("walk_long.html")).unwrap();
}

#[test]
fn still_pictures_hold_what_the_charts_show() {
    let svg = attention(&words(14), 3, 4).figure_of("decoder", 1, &[0, 2]).unwrap().svg();
    assert_eq!(svg.matches("class=\"fl-cells\"").count(), 8, "four kinds of two heads");
    assert_eq!(svg.matches("class=\"fl-strip\"").count(), 8);
    for text in [
        "Content score, head 0",
        "Position bias, head 2",
        "Score before softmax, head 2",
        "Probability, head 0",
        ">mat<",
    ] {
        assert!(svg.contains(text), "{text}");
    }
    let cross = attention(&words(14), 3, 4).figure_of("cross", 0, &[1]).unwrap().svg();
    assert_eq!(cross.matches("class=\"fl-cells\"").count(), 2, "no bias, and the sum would say the content again");

    let svg = kernels().figure().svg();
    assert!(svg.contains("encoder, layers 0 to 5: learned bias by distance") && svg.contains(">head 7<"));
    assert!(svg.contains(">−128<") && svg.contains(">−1<") && svg.contains(">64<"));
    let bands = kernels().figure_of("all", 3, &[1, 2]).unwrap().svg();
    assert_eq!(
        bands.matches("fill-opacity=\"0.18\"").count(),
        2,
        "a band for each head; what is no number is out of it"
    );

    let svg = walk(&words(8), 7).figure().svg();
    assert_eq!(svg.matches("<circle").count(), 2 * 8 * 7, "every point from two sides");
    assert!(svg.contains("PC 1 (51 % of the variance)") && svg.contains("PC 3 (8 % of the variance)"));
    let svg = similarity(&words(14), 5).figure().svg();
    assert!(svg.contains("CKA between layers") && svg.contains(">after layer 3<"));
}

#[test]
fn every_figure_is_plain_svg_with_colours_of_the_theme() {
    for (name, figure) in all() {
        let svg = figure.svg();
        assert!(!svg.contains("NaN") && !svg.contains("foreignObject") && !svg.contains("<script"), "{name}");
        assert!(svg.contains("var(--fl-muted)"), "{name}");
        assert_eq!(svg.matches("<svg").count(), svg.matches("</svg>").count(), "{name}");
        assert!(figure.json().len() < 1_000_000 && figure.json().starts_with('{'), "{name}");
    }
}

#[test]
fn long_texts_are_images_and_pages_stay_small() {
    let text = words(512);
    let long: [(&str, Figure); 3] = [
        ("attention", attention(&text, 1, 16).figure()),
        ("similarity", similarity(&text, 25).figure()),
        ("walk", walk(&text, 25).figure()),
    ];
    for (name, figure) in long {
        let page = figure.html();
        assert!(page.len() < 5_000_000, "{name}: {}", page.len());
        assert!(figure.svg().contains("data:image/png;base64,") || name == "walk", "{name}");
    }
}
