//! Colours by name and scales of them, as configurations write them.

use crate::{Error, Result};

/// CSS's named colours with their hexadecimal values.
const NAMES: &str = "\
aliceblue f0f8ff antiquewhite faebd7 aqua 00ffff aquamarine 7fffd4 azure f0ffff beige f5f5dc bisque ffe4c4 black \
000000 blanchedalmond ffebcd blue 0000ff blueviolet 8a2be2 brown a52a2a burlywood deb887 cadetblue 5f9ea0 \
chartreuse 7fff00 chocolate d2691e coral ff7f50 cornflowerblue 6495ed cornsilk fff8dc crimson dc143c cyan 00ffff \
darkblue 00008b darkcyan 008b8b darkgoldenrod b8860b darkgray a9a9a9 darkgreen 006400 darkgrey a9a9a9 darkkhaki \
bdb76b darkmagenta 8b008b darkolivegreen 556b2f darkorange ff8c00 darkorchid 9932cc darkred 8b0000 darksalmon \
e9967a darkseagreen 8fbc8f darkslateblue 483d8b darkslategray 2f4f4f darkslategrey 2f4f4f darkturquoise 00ced1 \
darkviolet 9400d3 deeppink ff1493 deepskyblue 00bfff dimgray 696969 dimgrey 696969 dodgerblue 1e90ff firebrick \
b22222 floralwhite fffaf0 forestgreen 228b22 fuchsia ff00ff gainsboro dcdcdc ghostwhite f8f8ff gold ffd700 \
goldenrod daa520 gray 808080 green 008000 greenyellow adff2f grey 808080 honeydew f0fff0 hotpink ff69b4 \
indianred cd5c5c indigo 4b0082 ivory fffff0 khaki f0e68c lavender e6e6fa lavenderblush fff0f5 lawngreen 7cfc00 \
lemonchiffon fffacd lightblue add8e6 lightcoral f08080 lightcyan e0ffff lightgoldenrodyellow fafad2 lightgray \
d3d3d3 lightgreen 90ee90 lightgrey d3d3d3 lightpink ffb6c1 lightsalmon ffa07a lightseagreen 20b2aa lightskyblue \
87cefa lightslategray 778899 lightslategrey 778899 lightsteelblue b0c4de lightyellow ffffe0 lime 00ff00 \
limegreen 32cd32 linen faf0e6 magenta ff00ff maroon 800000 mediumaquamarine 66cdaa mediumblue 0000cd \
mediumorchid ba55d3 mediumpurple 9370db mediumseagreen 3cb371 mediumslateblue 7b68ee mediumspringgreen 00fa9a \
mediumturquoise 48d1cc mediumvioletred c71585 midnightblue 191970 mintcream f5fffa mistyrose ffe4e1 moccasin \
ffe4b5 navajowhite ffdead navy 000080 oldlace fdf5e6 olive 808000 olivedrab 6b8e23 orange ffa500 orangered \
ff4500 orchid da70d6 palegoldenrod eee8aa palegreen 98fb98 paleturquoise afeeee palevioletred db7093 papayawhip \
ffefd5 peachpuff ffdab9 peru cd853f pink ffc0cb plum dda0dd powderblue b0e0e6 purple 800080 rebeccapurple 663399 \
red ff0000 rosybrown bc8f8f royalblue 4169e1 saddlebrown 8b4513 salmon fa8072 sandybrown f4a460 seagreen 2e8b57 \
seashell fff5ee sienna a0522d silver c0c0c0 skyblue 87ceeb slateblue 6a5acd slategray 708090 slategrey 708090 \
snow fffafa springgreen 00ff7f steelblue 4682b4 tan d2b48c teal 008080 thistle d8bfd8 tomato ff6347 turquoise \
40e0d0 violet ee82ee wheat f5deb3 white ffffff whitesmoke f5f5f5 yellow ffff00 yellowgreen 9acd32 \
";

/// A colour; all parts between 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Color {
    pub red: f64,
    pub green: f64,
    pub blue: f64,
    pub alpha: f64,
}

impl Color {
    /// A middle grey.
    pub const GREY: Color = Color { red: 0.6, green: 0.6, blue: 0.6, alpha: 1. };

    /// This colour with a share of another.
    pub fn mixed(self, other: Color, share: f64) -> Color {
        let mix = |own: f64, other: f64| own + (other - own) * share;
        Color {
            red: mix(self.red, other.red),
            green: mix(self.green, other.green),
            blue: mix(self.blue, other.blue),
            alpha: mix(self.alpha, other.alpha),
        }
    }

    /// Reads a CSS name, `#rgb`, `#rgba`, `#rrggbb`, `#rrggbbaa`, `rgb(..)` or `rgba(..)`.
    pub fn parse(text: &str) -> Option<Color> {
        let text = text.trim().to_ascii_lowercase();
        if let Some(digits) = text.strip_prefix('#') {
            return Color::from_hex(digits);
        }
        if let Some(parts) = text.strip_prefix("rgba(").or_else(|| text.strip_prefix("rgb(")) {
            let parts: Vec<f64> =
                parts.strip_suffix(')')?.split(',').map(|part| part.trim().parse().ok()).collect::<Option<_>>()?;
            let &[red, green, blue, ref alpha @ ..] = parts.as_slice() else { return None };
            let alpha = *alpha.first().unwrap_or(&1.);
            let inside =
                [red, green, blue].iter().all(|part| (0. ..=255.).contains(part)) && (0. ..=1.).contains(&alpha);
            let color = Color { red: red / 255., green: green / 255., blue: blue / 255., alpha };
            return (inside && parts.len() <= 4).then_some(color);
        }
        let mut words = NAMES.split_ascii_whitespace();
        while let (Some(name), Some(value)) = (words.next(), words.next()) {
            if name == text {
                return Color::from_hex(value);
            }
        }
        None
    }

    fn from_hex(digits: &str) -> Option<Color> {
        let values: Vec<f64> = digits.chars().map(|digit| digit.to_digit(16).map(f64::from)).collect::<Option<_>>()?;
        let parts: Vec<f64> = match values.len() {
            3 | 4 => values.iter().map(|value| value / 15.).collect(),
            6 | 8 => values.chunks(2).map(|pair| (pair[0] * 16. + pair[1]) / 255.).collect(),
            _ => return None,
        };
        Some(Color { red: parts[0], green: parts[1], blue: parts[2], alpha: *parts.get(3).unwrap_or(&1.) })
    }

    /// `rgba(r, g, b, a)` with r, g, b from 0 to 255: fractions there are no CSS.
    pub fn css(self) -> String {
        let byte = |part: f64| (part * 255.).round() as u8;
        let (red, green, blue) = (byte(self.red), byte(self.green), byte(self.blue));
        format!("rgba({red}, {green}, {blue}, {:?})", self.alpha)
    }

    fn parts(self) -> [f64; 4] {
        [self.red, self.green, self.blue, self.alpha]
    }
}

/// A scale of colours over 0 to 1, as a table of 256 entries (what matplotlib makes of a list of names).
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct ColorMap {
    table: Vec<Color>,
}

impl ColorMap {
    /// The stops stand at equal distances from 0 to 1.
    pub fn new<S: AsRef<str>>(stops: &[S]) -> Result<ColorMap> {
        let colors = stops
            .iter()
            .map(|stop| {
                Color::parse(stop.as_ref()).ok_or_else(|| {
                    Error::FlowGraph(format!("{:?} is not a colour; write a CSS name or #rrggbb", stop.as_ref()))
                })
            })
            .collect::<Result<Vec<_>>>()?;
        if colors.len() < 2 {
            return Err(Error::FlowGraph(format!("a colour map needs two colours or more, got {}", colors.len())));
        }
        let last = colors.len() - 1;
        let table = (0..256)
            .map(|entry| {
                let x = last as f64 * f64::from(entry) / 255.;
                let left = (x.floor() as usize).min(last - 1);
                let (a, b, share) = (colors[left].parts(), colors[left + 1].parts(), x - left as f64);
                let mix = |part: usize| (b[part] - a[part]) * share + a[part];
                Color { red: mix(0), green: mix(1), blue: mix(2), alpha: mix(3) }
            })
            .collect();
        Ok(ColorMap { table })
    }

    /// The colour at `x`; what lies outside 0 to 1 takes the nearer end.
    pub fn at(&self, x: f64) -> Color {
        self.table[((x * 256.).max(0.) as usize).min(255)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_way_to_write_a_colour() {
        let red = Color { red: 1., green: 0., blue: 0., alpha: 1. };
        for text in ["red", " RED ", "#f00", "#ff0000", "#ff0000ff", "rgb(255,0,0)", "rgba(255, 0, 0, 1)"] {
            assert_eq!(Color::parse(text), Some(red), "{text}");
        }
        assert_eq!(Color::parse("rgba(102,0,204,0.3)").unwrap().css(), "rgba(102, 0, 204, 0.3)");
        for text in ["", "reddish", "#12345", "rgb(1,2)", "rgb(1,2,300)", "rgba(1,2,3,4,5)", "ff0000", "#éé"] {
            assert_eq!(Color::parse(text), None, "{text}");
        }
        assert_eq!(NAMES.split_ascii_whitespace().count(), 2 * 148);
    }

    #[test]
    fn colour_maps_are_those_of_matplotlib() {
        let text = include_str!("../tests/fixtures/visit/colormaps.json");
        let maps: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).unwrap();
        assert_eq!(maps.len(), 6);
        for (name, map) in maps {
            let stops: Vec<String> = serde_json::from_value(map["stops"].clone()).unwrap();
            let table: Vec<[f64; 4]> = serde_json::from_value(map["lut"].clone()).unwrap();
            let ours = ColorMap::new(&stops).unwrap();
            for (entry, (wanted, found)) in table.iter().zip(&ours.table).enumerate() {
                for (a, b) in wanted.iter().zip(found.parts()) {
                    assert!((a - b).abs() < 1e-9, "{name} entry {entry}: {wanted:?} {found:?}");
                }
            }
            assert_eq!(ours.at(1.), ours.table[255]);
            assert_eq!(ours.at(-1.), ours.table[0]);
            assert_eq!(ours.at(0.5), ours.table[128]);
        }
        assert!(ColorMap::new(&["red"]).is_err());
        assert!(ColorMap::new(&["red", "reddish"]).unwrap_err().to_string().contains("reddish"));
    }
}
