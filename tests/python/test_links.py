"""Links of all Markdown files and notebooks that lead to something in the repository."""

import html.parser
import json
import re
import subprocess
import unittest
from pathlib import Path
from urllib.parse import unquote

import mistune

ROOT = Path(__file__).resolve().parents[2]


class Html(html.parser.HTMLParser):
    """Addresses in what is written as HTML."""

    def __init__(self):
        super().__init__()
        self.addresses, self.names = [], []

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("href", "src"):
                self.addresses.append(value)
            elif name == "srcset":
                self.addresses += [part.split()[0] for part in value.split(",")]
            elif name in ("id", "name"):
                self.names.append(value)


def slug(heading):
    """The name under which GitHub finds a heading."""
    kept = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return kept.replace(" ", "-")


def parts(text):
    """Addresses that a Markdown text links to, and names that can be linked to in it."""
    addresses, names = [], []

    def words(token):
        return token.get("raw", "") + "".join(map(words, token.get("children", [])))

    def walk(tokens):
        for token in tokens:
            if token["type"] in ("link", "image"):
                addresses.append(token["attrs"]["url"])
            elif token["type"] == "heading":
                names.append(slug(words(token)))
            elif token["type"] in ("block_html", "inline_html"):
                found = Html()
                found.feed(token["raw"])
                addresses.extend(found.addresses), names.extend(found.names)
            walk(token.get("children", []))

    walk(mistune.create_markdown(renderer=None, plugins=["table"])(text))
    return addresses, names


def read(path):
    text = path.read_text()
    if path.suffix != ".ipynb":
        return text
    return "\n\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown")


def broken(path, text):
    """Links of a text that lead nowhere."""
    found = []
    for address in parts(text)[0]:
        if re.match(r"[a-z][a-z0-9+.-]*:", address):
            continue
        file, _, name = unquote(address).partition("#")
        target = (path.parent / file).resolve() if file else path
        if not target.exists():
            found.append(address)
        elif not target.is_relative_to(ROOT):
            found.append(f"{address} (outside of the repository)")
        elif name and target.suffix in (".md", ".ipynb") and name not in parts(text if target == path else read(target))[1]:
            found.append(f"{address} (no such heading)")
    return found


class Links(unittest.TestCase):
    def test_links_lead_somewhere(self):
        listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md", "*.ipynb"], cwd=ROOT, check=True, capture_output=True, text=True)
        files = [ROOT / name for name in listed.stdout.split("\n") if name]
        self.assertGreater(len(files), 20)
        for path in filter(Path.exists, files):
            with self.subTest(str(path.relative_to(ROOT))):
                self.assertEqual(broken(path, read(path)), [])

    def test_a_broken_link_is_found(self):
        page = ROOT / "docs" / "export.md"
        text = "# One two, `three`\n\n[a](#one-two-three) [b](#four) [c](nowhere.md) ![d](pictures/none.png)\n\n<img src='../none.svg'>\n"
        text += "\n| table |\n|---|\n| [e](../README.md) [f](../README.md#nowhere) |\n"
        self.assertEqual(broken(page, text), ["#four (no such heading)", "nowhere.md", "pictures/none.png", "../none.svg", "../README.md#nowhere (no such heading)"])


if __name__ == "__main__":
    unittest.main()
