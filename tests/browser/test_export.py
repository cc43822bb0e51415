"""Exported pictures beside what a browser makes of the same figure, light and dark.

The pictures come from `tests/figure/export.rs`. A browser takes the machine's letters and we take ours, so what is compared
is coarse: colours of squares of a few pixels.
"""

import base64
import unittest

import numpy as np
from _browser import PAGES, BrowserTest, write_pages

# Pixels of a square's side.
SQUARE = 8
READ = """async ([png, square]) => {
  const bytes = Uint8Array.from(atob(png), (letter) => letter.charCodeAt(0));
  const image = await createImageBitmap(new Blob([bytes], {type: "image/png"}));
  const canvas = new OffscreenCanvas(image.width, image.height);
  const paint = canvas.getContext("2d");
  paint.drawImage(image, 0, 0);
  const dots = paint.getImageData(0, 0, image.width, image.height).data;
  const [across, down] = [Math.floor(image.width / square), Math.floor(image.height / square)];
  const means = new Array(across * down * 3).fill(0);
  for (let y = 0; y < down * square; y++)
    for (let x = 0; x < across * square; x++)
      for (let c = 0; c < 3; c++)
        means[(Math.floor(y / square) * across + Math.floor(x / square)) * 3 + c] +=
          dots[(y * image.width + x) * 4 + c] / square / square;
  return [image.width, image.height, means];
}"""


def setUpModule():
    write_pages()


class Export(BrowserTest):
    def squares(self, tab, png):
        """The mean colours of the squares of a PNG."""
        width, height, means = tab.evaluate(READ, [base64.b64encode(png).decode(), SQUARE])
        return (width, height), np.array(means).reshape(height // SQUARE, width // SQUARE, 3)

    def test_pictures_look_as_in_a_browser(self):
        pictures = sorted((PAGES / "export").glob("*.svg"))
        self.assertGreaterEqual(len(pictures), 14)
        blank = self.browser.new_page()
        for picture in pictures:
            papers = []
            for scheme in ["light", "dark"]:
                with self.subTest(picture=picture.stem, scheme=scheme):
                    own_size, own = self.squares(blank, picture.with_suffix(f".{scheme}.png").read_bytes())
                    tab = self.open(picture, wait=False, width=own_size[0], height=own_size[1], color_scheme=scheme)
                    size, seen = self.squares(blank, tab.screenshot())
                    self.assertEqual(own_size, size)
                    apart = np.abs(own - seen).max(-1)
                    # What is left are letters, which are not the same ones.
                    self.assertLess(apart.mean(), 5)
                    self.assertLess((apart > 40).mean(), 0.03)
                    papers.append(own[-1, -1].mean())
            self.assertGreater(papers[0] - papers[1], 200)


if __name__ == "__main__":
    unittest.main()
