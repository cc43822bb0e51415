//! The still forms: pictures are plain XML, a PDF does nothing, a PNG is one.

use lopdf::{Document, Object};
use quick_xml::Reader;
use quick_xml::events::Event;

use super::FIGURES;

/// What our pictures are made of.
const ELEMENTS: [&str; 15] = [
    "svg", "style", "g", "rect", "text", "tspan", "title", "path", "circle", "line", "image", "polyline", "polygon",
    "clipPath", "defs",
];

/// Fails where a picture is not well-formed, or holds what could do something or fetch something.
fn check(svg: &str, name: &str) {
    let mut reader = Reader::from_str(svg);
    reader.config_mut().check_comments = true;
    loop {
        match reader.read_event().unwrap() {
            Event::Eof => return,
            Event::Start(element) | Event::Empty(element) => {
                let tag = element.name().as_ref().to_owned();
                assert!(ELEMENTS.contains(&tag.as_str()), "{name}: <{tag}>");
                for attribute in element.attributes() {
                    let attribute = attribute.unwrap();
                    let (key, value) = (attribute.key.as_ref().to_owned(), attribute.value.into_owned());
                    assert!(!key.starts_with("on"), "{name}: {key}");
                    let own = value.starts_with("data:image/png;base64,") || value.starts_with('#');
                    assert!(!key.ends_with("href") || own, "{name}: {key}={value}");
                    let label = key == "aria-label" || key.starts_with("data-");
                    assert!(
                        label || !value.contains("javascript:") && !value.contains("//host"),
                        "{name}: {key}={value}"
                    );
                }
            }
            Event::GeneralRef(entity) => {
                assert!(["amp", "lt", "gt", "quot", "apos", "#39"].contains(&&*entity), "{name}: {entity:?}");
            }
            Event::End(_) | Event::Text(_) => {}
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn pictures_are_xml_that_does_nothing() {
    for (name, figure) in FIGURES.iter() {
        check(&figure.svg(), name);
        check(&figure.export().svg().unwrap(), name);
        check(&figure.export().dark().svg().unwrap(), name);
    }
}

/// Every key of an object, however deep.
fn keys(object: &Object, found: &mut Vec<String>) {
    let dictionary = match object {
        Object::Stream(stream) => &stream.dict,
        Object::Dictionary(dictionary) => dictionary,
        Object::Array(list) => return list.iter().for_each(|it| keys(it, found)),
        _ => return,
    };
    for (key, value) in dictionary.iter() {
        found.push(String::from_utf8_lossy(key).into_owned());
        // The kind of an action is a name.
        found.extend(value.as_name().ok().map(|name| String::from_utf8_lossy(name).into_owned()));
        keys(value, found);
    }
}

#[test]
fn a_pdf_does_nothing_and_a_png_is_a_picture() {
    for (name, figure) in FIGURES.iter() {
        let document = Document::load_mem(&figure.export().pdf().unwrap()).unwrap();
        let mut found = Vec::new();
        document.objects.values().for_each(|object| keys(object, &mut found));
        document.trailer.iter().for_each(|(key, _)| found.push(String::from_utf8_lossy(key).into_owned()));
        assert!(found.iter().any(|key| key == "MediaBox"), "{name}");
        let acts = [
            "JS",
            "JavaScript",
            "Launch",
            "URI",
            "AA",
            "OpenAction",
            "Annots",
            "GoToR",
            "SubmitForm",
            "EmbeddedFiles",
            "AcroForm",
        ];
        assert_eq!(found.iter().find(|key| acts.contains(&key.as_str())), None, "{name}");
        let png = figure.export().scale(0.5).png().unwrap();
        png::Decoder::new(png.as_slice()).read_info().unwrap();
    }
}
