#!/usr/bin/env python3
"""Two English Bibles verse by verse, from Debian's packages of them: bibles.py OUT

Fetches `sword-text-kjv` and `sword-text-web` with apt-get (Debian or Ubuntu; no root needed) and unpacks them under OUT.
OUT/verses.tsv.gz   Gen 1:1 <tab> King James <tab> World English, a line for each verse that both have
OUT/links.json      {"Gen 1:1": [[start, end, start, end], ..]}: words of the two that stand for one Hebrew or Greek word

SWORD's zText format: for each testament a file of compressed blocks (.bzz), one that says where each block is
(.bzs: offset, packed size, size) and one that says where each entry is (.bzv: block, offset, size). Entries are book
headings, chapter headings and verses, in order. Chapter headings name themselves, so that verses can be counted.
"""
import gzip
import html
import json
import re
import struct
import subprocess
import sys
import zlib
from collections import defaultdict
from pathlib import Path

PACKAGES = ("sword-text-kjv", "sword-text-web")
TAG = re.compile(r"<(/?)(\w+)([^>]*)>")
CHAPTER = re.compile(r'<chapter (?=[^>]* sID=)[^>]*osisID="([^".]+)\.(\d+)"')
BOOK = re.compile(r'<div [^>]* sID="[^>]*type="book"')
STRONG = re.compile(r'lemma="strong:([GH]\d+)')
FORMATTING = re.compile(r"\\\+?[a-z]+\*?\s?")
NO_VERSE = ("note", "title", "speaker")
ENDS_A_LINE = ("l", "lg", "lb", "p", "div", "chapter", "milestone", "list", "item")
COMMON = set("""the of and to in that he his they them their him for with it is was be from are were you your i my me not a
    an as on by all this who which will shall had have has at but into out up said when then so there her she we us our
    before after because also""".split())


def fetch(package, out):
    """The unpacked package's root."""
    root = out / package
    if not root.exists():
        subprocess.run(["apt-get", "download", package], cwd=out, check=True)
        (archive,) = out.glob(f"{package}_*.deb")
        subprocess.run(["dpkg", "-x", archive, root], check=True)
    return root


def entries(folder, testament):
    index, where, data = ((folder / f"{testament}.{end}").read_bytes() for end in ("bzs", "bzv", "bzz"))
    blocks = [zlib.decompress(data[at:at + packed]) for at, packed, _ in struct.iter_unpack("<III", index)]
    for block, start, size in struct.iter_unpack("<IIH", where):
        yield blocks[block][start:start + size].decode() if size else ""


def marked_up_verses(root):
    """{"Gen 1:1": markup}"""
    (folder,) = (root / "usr/share/sword/modules/texts/ztext").iterdir()
    verses = {}
    for testament in ("ot", "nt"):
        chapter, verse = None, 0
        for entry in entries(folder, testament):
            if heading := CHAPTER.search(entry):
                chapter, verse = f"{heading[1]} {heading[2]}", 0
            elif BOOK.search(entry):
                chapter = None
            elif chapter:
                verse += 1
                verses[f"{chapter}:{verse}"] = entry.split("<chapter eID=")[0]  # what follows is no verse
    return verses


class Verse:
    """The text of a verse without its markup, and where its words with a number of Strong's concordance stand."""

    def __init__(self, markup):
        self.text, self.words = "", defaultdict(list)
        self.note_here, outside, word, at = False, 0, None, 0
        for tag in [*TAG.finditer(markup), None]:
            if not outside:
                self.write(markup[at:tag.start() if tag else len(markup)])
            if tag is None:
                break
            at, (closes, name, rest) = tag.end(), tag.groups()
            if name in NO_VERSE and not rest.endswith("/"):
                outside += -1 if closes else 1
                # A note may stand where a space should be, a title where a line ends.
                if not outside and closes:
                    self.note_here = True if name == "note" else self.note_here
                    self.write("" if name == "note" else " ")
            elif name in ENDS_A_LINE:
                self.write(" ")
            elif name == "w" and not outside:
                if closes and word:
                    self.words[word[0]].append((word[1], len(self.text)))
                number = STRONG.search(rest)
                word = (number[1], self.next_start()) if number and not closes else None
        self.text = self.text.rstrip()

    def next_start(self):
        """Where the next word will stand: a space that a note asks for comes first."""
        if self.note_here:
            self.write("\0")
        return len(self.text)

    def write(self, piece):
        piece = html.unescape(FORMATTING.sub("", piece)).replace("¶", " ")
        for character in piece.replace("\u2060", "").replace("\ufeff", ""):
            space = character.isspace() or character == "\0"
            if self.note_here:
                self.note_here = False
                if not space and character not in ",.;:?!)’”—":
                    self.write(" ")
            if space:
                if self.text and not self.text.endswith(" "):
                    self.text += " "
            else:
                if character in ",.;:?!" and self.text.endswith(" "):
                    self.text = self.text[:-1]
                self.text += character


def links_of(kjv, web):
    """Spans of words that share a number which marks one word in each, common words left out."""
    def content(verse, number):
        return [span for span in verse.words[number] if verse.text[slice(*span)].lower() not in COMMON]

    links = []
    for number in kjv.words:
        if len(kjv.words[number]) == 1 and number in web.words:
            left, right = content(kjv, number), content(web, number)
            if len(left) == len(right) == 1:
                links.append([*left[0], *right[0]])
    return links


def main():
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    kjv, web = ({where: Verse(markup) for where, markup in marked_up_verses(fetch(package, out)).items()}
                for package in PACKAGES)
    both = [where for where in kjv if where in web and kjv[where].text and web[where].text]
    with gzip.GzipFile(out / "verses.tsv.gz", "wb", mtime=0) as file:
        for where in both:
            file.write(f"{where}\t{kjv[where].text}\t{web[where].text}\n".encode())
    links = {where: found for where in both if (found := links_of(kjv[where], web[where]))}
    (out / "links.json").write_text(json.dumps(links))
    print(f"{len(both)} verses in both, {sum(map(len, links.values()))} links between their words")


if __name__ == "__main__":
    main()
