#!/usr/bin/env python3
"""Makes the fonts of exported figures, `src/figure/export/fonts/`, from Liberation Sans and DejaVu Sans.

    pip install fonttools; apt-get install fonts-liberation2 fonts-dejavu-core
    tools/make_fonts.py

They keep what figures write: Latin, Greek and Cyrillic letters, and of DejaVu Sans the signs that Liberation lacks.
Both licences ask that a changed font has a name of its own. The same fonts give the same bytes.
"""

from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont

FONTS = Path("/usr/share/fonts/truetype")
OUT = Path(__file__).parents[1] / "src" / "figure" / "export" / "fonts"
LETTERS = [(0x20, 0x7E), (0xA0, 0x24F), (0x250, 0x2AF), (0x2B0, 0x36F), (0x370, 0x3FF), (0x400, 0x52F), (0x1E00, 0x1EFF),
           (0x1F00, 0x1FFF), (0x2000, 0x206F), (0x2070, 0x209F), (0x20A0, 0x20BF), (0x2100, 0x214F), (0x2150, 0x218F),
           (0x2190, 0x21FF), (0x2200, 0x22FF), (0xFB00, 0xFB06), (0xFFFD, 0xFFFD)]
# Technical signs, visible controls, boxes, geometric shapes, signs, dingbats, brackets, arrows; and what LETTERS lacks.
SIGNS = [(0x2300, 0x23FF), (0x2400, 0x243F), (0x2460, 0x24FF), (0x2500, 0x25FF), (0x2600, 0x26FF), (0x2700, 0x27BF),
         (0x27C0, 0x27FF), (0x2900, 0x297F), (0x2A00, 0x2AFF), (0x2B00, 0x2BFF), (0xFFFC, 0xFFFD)]


def characters(ranges):
    return {code for first, last in ranges for code in range(first, last + 1)}


def make(source, wanted, family, style, file):
    options = subset.Options()
    options.hinting = False
    options.layout_features = ["kern", "mark", "mkmk", "ccmp"]
    options.notdef_outline = True
    options.name_IDs = [0, 13, 14]
    options.drop_tables += ["DSIG", "FFTM", "MATH", "PCLT"]
    font = TTFont(FONTS / source, recalcTimestamp=False)
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=wanted)
    subsetter.subset(font)
    names = font["name"]
    notice, licence, address = map(names.getDebugName, options.name_IDs)
    names.names = []
    full = f"{family} {style}" if style != "Regular" else family
    changed = f"{notice}\nA subset of {source.rsplit('/')[-1]}, renamed for Flowlens."
    texts = {0: changed, 1: family, 2: style, 3: full, 4: full, 5: "Version 1.0", 6: f"{family}-{style}".replace(" ", ""),
             13: licence, 14: address}
    for number, text in texts.items():
        names.setName(text, number, 3, 1, 0x409)
    font.save(OUT / file)
    print(f"{file}: {len(font.getBestCmap())} characters, {(OUT / file).stat().st_size} bytes")
    return set(font.getBestCmap())


if __name__ == "__main__":
    letters = characters(LETTERS)
    sans = "liberation2/LiberationSans-{}.ttf"
    has = make(sans.format("Regular"), letters, "Flowlens Sans", "Regular", "FlowlensSans-Regular.ttf")
    make(sans.format("Bold"), letters, "Flowlens Sans", "Bold", "FlowlensSans-Bold.ttf")
    make("dejavu/DejaVuSans.ttf", characters(SIGNS) | letters - has, "Flowlens Signs", "Regular", "FlowlensSigns-Regular.ttf")
