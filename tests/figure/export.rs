//! Figures as .pdf, .png and .svg of settled colours: every kind, light and dark.

use std::path::Path;

use flowlens::attention::Attention;
use flowlens::{Export, Figure, Gallery, Input, Model};
use lopdf::{Dictionary, Document, Object};
use quick_xml::Reader;
use quick_xml::events::Event;

use super::hostile::FIGURES;
use super::sample::{graph, lens};

/// A figure of each kind, by what its file would be called.
fn figures() -> Vec<Figure> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity/gpt2");
    let model = Model::load(folder.to_str().unwrap()).unwrap();
    let trace = model.run(Input::from_file(folder.join("expected.safetensors")).unwrap()).unwrap();
    let mut figures = vec![
        graph("layers").figure(),
        trace.flow_graph().layers([1]).figure().unwrap(),
        trace.flow_graph().figure().unwrap(),
        lens("␣").figure(),
        trace.head_view().layer(1).build().unwrap(),
        trace.model_view().build().unwrap(),
        trace.neuron_view().layer(0).head(1).build().unwrap(),
        trace.rollout_view().build().unwrap(),
    ];
    figures.extend(super::trajectory::all().into_iter().map(|(_, figure)| figure));
    figures.extend(super::effects::all().into_iter().map(|(_, figure)| figure));
    figures
}

/// The export on light and on dark paper, with the paper's colour.
fn schemes(figure: &Figure) -> [(Export, &'static str); 2] {
    [(figure.export(), "#fff"), (figure.export().dark(), "#14171c")]
}

/// Width and height of the picture in pixels.
fn size(figure: &Figure) -> (f64, f64) {
    let svg = figure.svg();
    let side =
        |name: &str| svg.split(&format!(" {name}=\"")).nth(1).unwrap().split('"').next().unwrap().parse().unwrap();
    (side("width"), side("height"))
}

/// Every name of an element in a picture, and every attribute as name and value. Fails where it is not well-formed.
fn read(svg: &str) -> (Vec<String>, Vec<(String, String)>) {
    let (mut elements, mut attributes) = (Vec::new(), Vec::new());
    let mut reader = Reader::from_str(svg);
    loop {
        match reader.read_event().unwrap() {
            Event::Eof => return (elements, attributes),
            Event::Start(element) | Event::Empty(element) => {
                elements.push(element.name().as_ref().to_owned());
                for attribute in element.attributes() {
                    let attribute = attribute.unwrap();
                    attributes.push((attribute.key.as_ref().to_owned(), attribute.value.into_owned()));
                }
            }
            Event::GeneralRef(name) => {
                let known = ["amp", "lt", "gt", "quot", "apos", "#39"];
                assert!(known.contains(&&*name), "{name:?}");
            }
            _ => {}
        }
    }
}

/// What a browser shows of the picture that follows the system, and what we draw ourselves.
#[test]
fn writes_exports_for_the_browser() {
    let folder = super::folder("figures/export");
    for figure in figures() {
        let file = |ending: &str| folder.join(format!("{}.{ending}", figure.file_name()));
        figure.save(file("svg")).unwrap();
        figure.save(file("pdf")).unwrap();
        figure.export().scale(1.0).save(file("light.png")).unwrap();
        figure.export().scale(1.0).dark().save(file("dark.png")).unwrap();
    }
}

#[test]
fn settled_pictures_leave_nothing_to_their_reader() {
    for figure in figures().iter().chain(FIGURES.iter().map(|(_, figure)| figure)) {
        let [light, dark] = schemes(figure).map(|(export, paper)| {
            let svg = export.svg().unwrap();
            let (elements, attributes) = read(&svg);
            let title = figure.title();
            assert!(elements.iter().all(|name| name != "title" && name != "script"), "{title}");
            for (name, value) in &attributes {
                assert!(name.starts_with("aria-") || !value.contains("var("), "{title}: {name}=\"{value}\"");
                assert!(!name.starts_with("on") && !name.starts_with("data-"), "{title}: {name}");
                assert!(name != "href" || value.starts_with("data:image/png;base64,"), "{title}: {value}");
            }
            let styles = svg.split("<style>").skip(1).map(|rest| rest.split("</style>").next().unwrap());
            for style in styles {
                assert!(["var(", "@media", "filter", "--"].iter().all(|it| !style.contains(it)), "{title}: {style}");
            }
            assert!(svg.contains(&format!("height=\"100%\" fill=\"{paper}\"")), "{title}");
            svg
        });
        assert_ne!(light, dark);
        let count = |svg: &str| read(svg).0.len();
        assert_eq!(count(&light), count(&dark));
    }
}

/// The objects of a PDF that are dictionaries of a type.
fn of_type<'a>(document: &'a Document, kind: &'a [u8]) -> impl Iterator<Item = &'a Dictionary> {
    let dictionaries = document.objects.values().filter_map(|object| match object {
        Object::Stream(stream) => Some(&stream.dict),
        object => object.as_dict().ok(),
    });
    dictionaries.filter(move |it| it.get_type().is_ok_and(|own| own == kind))
}

fn is_image(dictionary: &&Dictionary) -> bool {
    dictionary.get(b"Subtype").and_then(Object::as_name).is_ok_and(|kind| kind == b"Image")
}

#[test]
fn pdfs_are_of_lines_and_letters_and_carry_their_fonts() {
    for figure in figures() {
        for (export, _) in schemes(&figure) {
            let document = Document::load_mem(&export.pdf().unwrap()).unwrap();
            let title = figure.title();
            let pages: Vec<&Dictionary> = of_type(&document, b"Page").collect();
            assert_eq!(pages.len(), 1, "{title}");
            let sides: Vec<f32> = pages[0]
                .get(b"MediaBox")
                .unwrap()
                .as_array()
                .unwrap()
                .iter()
                .map(|it| it.as_float().unwrap())
                .collect();
            let (width, height) = size(&figure);
            assert_eq!(sides, [0.0, 0.0, 0.75 * width as f32, 0.75 * height as f32], "{title}");

            let descriptors: Vec<&Dictionary> = of_type(&document, b"FontDescriptor").collect();
            assert!(!descriptors.is_empty() && descriptors.len() <= 3, "{title}: {}", descriptors.len());
            for descriptor in descriptors {
                let name = String::from_utf8_lossy(descriptor.get(b"FontName").unwrap().as_name().unwrap());
                assert!(name.contains("+FlowlensS"), "{title}: {name}");
                assert!(descriptor.has(b"FontFile2") || descriptor.has(b"FontFile3"), "{title}: {name}");
            }
            let mut compound = of_type(&document, b"Font").filter(|font| font.has(b"DescendantFonts"));
            assert!(compound.all(|font| font.has(b"ToUnicode")), "{title}: words cannot be searched");
            // Only the model view, whose squares it is, and maps of very many cells hold an image.
            let images = document.objects.values().filter_map(|object| object.as_stream().ok());
            let images = images.map(|stream| &stream.dict).filter(is_image).count();
            assert_eq!(
                images > 0,
                title.starts_with("Model view") || title.contains("neurons of"),
                "{title}: {images} images"
            );
        }
    }
}

/// A PNG's width, height, dots (red, green, blue) and dots in a metre.
fn decoded(bytes: &[u8]) -> (u32, u32, Vec<[u8; 3]>, u32) {
    let mut reader = png::Decoder::new(bytes).read_info().unwrap();
    let mut dots = vec![0; reader.output_buffer_size()];
    let frame = reader.next_frame(&mut dots).unwrap();
    assert_eq!(frame.color_type, png::ColorType::Rgb);
    let density = reader.info().pixel_dims.unwrap().xppu;
    (frame.width, frame.height, dots.chunks(3).map(|dot| [dot[0], dot[1], dot[2]]).collect(), density)
}

#[test]
fn pngs_have_the_size_asked_for_and_the_paper_of_the_scheme() {
    for figure in figures() {
        let (wide, high) = size(&figure);
        for (export, paper) in schemes(&figure) {
            let (width, height, dots, density) = decoded(&export.clone().scale(0.5).png().unwrap());
            let title = figure.title();
            assert_eq!((f64::from(width), f64::from(height)), ((wide / 2.0).ceil(), (high / 2.0).ceil()), "{title}");
            assert_eq!(density, 1890, "48 dpi");
            let paper = if paper == "#fff" { [255; 3] } else { [0x14, 0x17, 0x1c] };
            for corner in [0, width - 1, width * (height - 1), width * height - 1] {
                assert_eq!(dots[corner as usize], paper, "{title}");
            }
            let drawn = dots.iter().filter(|&&dot| dot != paper).count();
            assert!(drawn * 100 > dots.len(), "{title}: {drawn} of {} dots", dots.len());
            let colors: std::collections::BTreeSet<_> = dots.iter().collect();
            assert!(colors.len() > 40, "{title}: {} colours", colors.len());
        }
    }
    let figure = lens("x").figure();
    let (wide, high) = size(&figure);
    let (width, height, _, density) = decoded(&figure.export().dpi(240.0).png().unwrap());
    assert_eq!((f64::from(width), f64::from(height), density), (2.5 * wide, (2.5 * high).ceil(), 9449));
}

#[test]
fn letters_that_our_fonts_lack_are_drawn_all_the_same() {
    let tokens = ["東京", "مرحبا", "\u{10ffff}", "🙂", "שלום"];
    let attention = Attention::new(tokens, super::attention::random(3, 1, 2, 5, 5, true)).unwrap();
    let export = attention.head_view().build().unwrap().export();
    Document::load_mem(&export.pdf().unwrap()).unwrap();
    decoded(&export.png().unwrap());
}

#[test]
fn a_gallery_is_a_pdf_of_several_pages() {
    let gallery = Gallery::new([graph("layers").figure(), lens("x").figure()]);
    let file = super::folder("figures/saved_pdf").join("two.pdf");
    gallery.save(&file).unwrap();
    let document = Document::load(&file).unwrap();
    assert_eq!(document.get_pages().len(), 2);
    for ending in ["svg", "png"] {
        let error = gallery.save(file.with_extension(ending)).unwrap_err().to_string();
        assert!(error.contains("one figure") && error.contains(".pdf"), "{error}");
        let error = gallery.export().save(file.with_extension(ending)).unwrap_err().to_string();
        assert!(error.contains("2 figures") && error.contains(".pdf"), "{error}");
    }
}

#[test]
fn the_same_figure_gives_the_same_bytes() {
    // Of a PDF the order of the fonts is a matter of chance.
    let export = || lens("x").figure().export();
    assert_eq!(export().pdf().unwrap().len(), export().pdf().unwrap().len());
    assert!(export().svg().unwrap() == export().svg().unwrap());
    assert!(export().png().unwrap() == export().png().unwrap());
}

#[test]
fn saves_by_the_ending_and_refuses_what_it_cannot_draw() {
    let folder = super::folder("figures/saved_pictures");
    let figure = lens("x").figure();
    let start = |name: &str, save: &dyn Fn(&Path)| {
        let file = folder.join(name);
        save(&file);
        let bytes = std::fs::read(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        bytes[..4].to_vec()
    };
    assert_eq!(start("a.PDF", &|file| figure.save(file).unwrap()), b"%PDF");
    assert_eq!(start("a.png", &|file| figure.save(file).unwrap()), b"\x89PNG");
    assert_eq!(start("a.svg", &|file| figure.export().save(file).unwrap()), b"<svg");
    let refused = |export: Export, name: &str| export.save(folder.join(name)).unwrap_err().to_string();
    assert!(refused(figure.export(), "a.html").contains(".pdf, .png and .svg"));
    for scale in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(refused(figure.export().scale(scale), "a.png").contains("above 0"));
    }
    let error = refused(figure.export().scale(1e6), "a.png");
    let fits: f64 = error.split("a scale of ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!((5.0..50.0).contains(&fits), "{error}");
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
}

#[test]
fn files_are_named_by_model_view_and_place() {
    let names: Vec<String> = figures().iter().map(Figure::file_name).collect();
    assert_eq!(
        names,
        [
            "tiny-gpt2-flow-graph-layer-0-to-layer-2-one-at-a-time",
            "gpt2-flow-graph-layer-1",
            "gpt2-flow-graph-layers-0-to-2",
            "tiny-logit-lens",
            "gpt2-head-view-layer-1",
            "gpt2-model-view",
            "gpt2-neuron-view-layer-0-head-1-token-16",
            "gpt2-attention-rollout-layer-2-token-16",
            "made-up-kernels-position-kernels",
            "made-up-t5-attention-maps-encoder-layer-0",
            "made-up-similar-similarity-maps-layer-4",
            "made-up-walker-the-walk-through-the-layers",
            "made-up-decoder-decoding",
            "made-up-t5-attribution-maps-encoder-layer-0",
            "made-up-patching-resid-pre-by-layer-and-position",
            "made-up-patching-resid-pre-by-layer-and-position",
            "made-up-patching-z-by-layer-head-and-position",
            "made-up-ablation-mean-mlp-out-by-layer",
            "made-up-direct-logit-attribution-sublayers-by-layer-and-sublayer",
            "made-up-attribution-patching-neurons-by-layer-and-neuron",
            "induction-by-layer-and-head",
        ]
    );
    for (_, figure) in FIGURES.iter() {
        let name = figure.file_name();
        assert!(name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-'), "{name}");
    }
}
