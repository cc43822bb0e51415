//! A picture whose colours are settled. Ours name their colours by CSS variables and leave light and dark to the reader's
//! system; programs that are no browsers know neither.

use std::borrow::Cow;

use quick_xml::events::{BytesStart, BytesText, Event};
use quick_xml::{Reader, Writer};

use super::Scheme;
use super::css::Styles;
use crate::colors::Color;
use crate::{Error, Result};

/// Attributes that paint.
const PAINTS: [&str; 3] = ["fill", "stroke", "stop-color"];

/// The picture under a scheme, without what only scripts and pointers find: titles and `data-` attributes.
pub(super) fn resolved(svg: &str, scheme: Scheme) -> Result<String> {
    let (styles, sheets) = sheets(svg, scheme)?;
    let mut sheets = sheets.iter();
    let mut reader = Reader::from_str(svg);
    let mut writer = Writer::new(Vec::with_capacity(svg.len()));
    // How much brighter each open element is than the colours that it names.
    let mut brightness = vec![1.0];
    loop {
        let event = reader.read_event().map_err(broken)?;
        match event {
            Event::Eof => break,
            Event::Start(element) if element.name().as_ref() == "title" => {
                reader.read_to_end(element.name()).map_err(broken)?;
            }
            Event::Start(element) if element.name().as_ref() == "style" => {
                reader.read_to_end(element.name()).map_err(broken)?;
                if let Some(sheet) = sheets.next().filter(|sheet| !sheet.is_empty()) {
                    let end = element.to_end().into_owned();
                    write(&mut writer, Event::Start(element))?;
                    write(&mut writer, Event::Text(BytesText::new(sheet)))?;
                    write(&mut writer, Event::End(end))?;
                }
            }
            Event::Start(element) => {
                let (element, own) = settled(&element, &styles, *brightness.last().unwrap_or(&1.0))?;
                brightness.push(own);
                write(&mut writer, Event::Start(element))?;
            }
            Event::Empty(element) => {
                let (element, _) = settled(&element, &styles, *brightness.last().unwrap_or(&1.0))?;
                write(&mut writer, Event::Empty(element))?;
            }
            Event::End(end) => {
                brightness.pop();
                write(&mut writer, Event::End(end))?;
            }
            event => write(&mut writer, event)?,
        }
    }
    String::from_utf8(writer.into_inner()).map_err(|error| Error::Figure(error.to_string()))
}

/// What all style sheets of a picture say together, and what is left of each.
fn sheets(svg: &str, scheme: Scheme) -> Result<(Styles, Vec<String>)> {
    let mut styles = Styles::default();
    let mut sheets = Vec::new();
    let mut reader = Reader::from_str(svg);
    loop {
        match reader.read_event().map_err(broken)? {
            Event::Eof => break,
            Event::Start(element) if element.name().as_ref() == "style" => {
                let text = reader.read_text(element.name()).map_err(broken)?;
                sheets.push(styles.take(&text.xml10_content(), scheme));
            }
            _ => {}
        }
    }
    let sheets = sheets.iter().map(|sheet| styles.resolve(sheet)).collect::<Result<_>>()?;
    Ok((styles, sheets))
}

/// The element with settled colours, and how much brighter than they say the colours inside it are.
fn settled(element: &BytesStart, styles: &Styles, outside: f64) -> Result<(BytesStart<'static>, f64)> {
    let mut settled = BytesStart::new(element.name().as_ref().to_owned());
    let mut brightness = outside;
    let mut attributes = Vec::new();
    for attribute in element.attributes() {
        let attribute = attribute.map_err(broken)?;
        if attribute.key.as_ref() == "class" {
            brightness *= styles.brightness(&attribute.value);
        }
        attributes.push(attribute);
    }
    for mut attribute in attributes {
        let name = attribute.key.as_ref();
        if name.starts_with("data-") {
            continue;
        }
        // What tokens can stand in is left as it is.
        if attribute.value.contains("var(") && !name.starts_with("aria-") {
            attribute.value = Cow::Owned(styles.resolve(&attribute.value)?);
        }
        if brightness != 1.0 && PAINTS.contains(&name) {
            attribute.value = Cow::Owned(brighter(&attribute.value, brightness));
        }
        settled.push_attribute(attribute);
    }
    Ok((settled, brightness))
}

/// A colour as `filter: brightness()` shows it. As a colour it stays a line in a PDF, as a filter it would become dots.
fn brighter(paint: &str, factor: f64) -> String {
    let Some(color) = Color::parse(paint) else { return paint.to_owned() };
    let part = |part: f64| (part * factor).clamp(0.0, 1.0);
    Color { red: part(color.red), green: part(color.green), blue: part(color.blue), ..color }.css()
}

fn write(writer: &mut Writer<Vec<u8>>, event: Event) -> Result<()> {
    writer.write_event(event).map_err(broken)
}

/// Our own pictures are well-formed; where one is not, that is a mistake of ours.
fn broken(error: impl std::fmt::Display) -> Error {
    Error::Figure(format!("the figure's picture is no well-formed SVG ({error}); please report it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PICTURE: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" aria-label=\"var(--a)\"><style>svg{--a:#010203;x:y}\
        @media (prefers-color-scheme:dark){svg{--a:#f0f1f2}.l{filter:brightness(2)}}</style><svg><style>svg{--h:#456}\
        </style><g class=\"l\" data-x=\"1\"><path fill=\"rgba(10, 200, 0, 0.5)\"><title>&lt;b&gt;</title></path></g>\
        <path stroke=\"var(--h)\" fill=\"var(--a)\"/><text>var(--a) &amp; ]]&gt;</text></svg></svg>";

    #[test]
    fn settles_colours_and_leaves_texts_alone() {
        let light = resolved(PICTURE, Scheme::Light).unwrap();
        assert_eq!(
            light,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" aria-label=\"var(--a)\"><style>svg{x:y}</style><svg>\
             <g class=\"l\"><path fill=\"rgba(10, 200, 0, 0.5)\"></path></g><path stroke=\"#456\" fill=\"#010203\"/>\
             <text>var(--a) &amp; ]]&gt;</text></svg></svg>"
        );
        let dark = resolved(PICTURE, Scheme::Dark).unwrap();
        assert!(dark.contains("fill=\"#f0f1f2\"") && dark.contains("rgba(20, 255, 0, 0.5)"), "{dark}");
        assert!(!dark.contains("filter"), "{dark}");
    }

    #[test]
    fn says_what_is_wrong_with_a_picture() {
        let unknown = resolved("<svg><path fill=\"var(--nothing)\"/></svg>", Scheme::Light).unwrap_err();
        assert!(unknown.to_string().contains("--nothing"), "{unknown}");
        assert!(resolved("<svg><g></svg>", Scheme::Light).is_err());
    }
}
