#!/usr/bin/env python3
"""The tokenizer and the token ids: prepare.py BIBLES OUT

BIBLES is the folder that bibles.py filled. OUT/tokenizer.json, tokenizer_config.json and held_out.tsv are what the model's
folder gets; OUT/tokens.json holds every verse as ids. Held out are every 50th verse ("verses") and three whole books
("books"); the tokenizer sees neither. held_out.tsv has the books' verses for the lessons, with those pairs of different
words of one meaning that are a single token each and stand once: `whither=where thou=you`.
"""
import gzip
import io
import json
import sys
from pathlib import Path

import sentencepiece
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

SIZE = 4096
SENTINELS = [f"<extra_id_{i}>" for i in range(15, -1, -1)]  # T5's, at the end of the vocabulary and downwards
HELD_OUT_BOOKS = ("Ruth", "Jonah", "Phil")
STRAIGHT = {"’": "'", "‘": "'", "“": '"', "”": '"', "—": " - "}


def read_verses(path):
    """(reference, King James, World English) of every verse."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [tuple(line.rstrip("\n").split("\t")) for line in lines]


def part_of(index, reference):
    if reference.split()[0] in HELD_OUT_BOOKS:
        return "books"
    return "verses" if index % 50 == 25 else "train"


def straighten(text):
    """Typewriter quotes: the two texts differ in theirs, and that is not what is to be learnt."""
    for curly, straight in STRAIGHT.items():
        text = text.replace(curly, straight)
    return text


def pieces(texts):
    """Unigram pieces with their scores by sentencepiece; tokenizers' own trainer needs more of them for a word."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=model, model_type="unigram", vocab_size=SIZE - len(SENTINELS),
        pad_id=0, eos_id=1, unk_id=2, bos_id=-1, character_coverage=1.0, num_threads=1, minloglevel=2)
    trained = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    return [(trained.id_to_piece(i), trained.get_score(i)) for i in range(trained.get_piece_size())]


def tokenizer_of(vocabulary):
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=2))
    quotes = [normalizers.Replace(curly, straight) for curly, straight in STRAIGHT.items()]
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), *quotes, normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens(["<pad>", "</s>", "<unk>"])
    tokenizer.add_special_tokens(SENTINELS)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return tokenizer


def pairs_of(tokenizer, source, target, links):
    """Words of one meaning as `whither=where`, where each is one token that stands once, and not the same."""
    texts = [tokenizer.encode(text, add_special_tokens=False) for text in (source, target)]
    found = []
    for link in links:
        pair = []
        for coded, (start, end) in zip(texts, (link[:2], link[2:])):
            inside = [token for token, (a, b) in zip(coded.tokens, coded.offsets) if b > start and a < end]
            pair += [inside[0]] if len(inside) == 1 and coded.tokens.count(inside[0]) == 1 else []
        if len(pair) == 2 and pair[0] != pair[1]:
            found.append("=".join(piece.removeprefix("▁") for piece in pair))
    return " ".join(found)


def main():
    bibles, out = map(Path, sys.argv[1:])
    verses, links = read_verses(bibles / "verses.tsv.gz"), json.loads((bibles / "links.json").read_text())
    out.mkdir(parents=True, exist_ok=True)
    parts = [part_of(i, reference) for i, (reference, _, _) in enumerate(verses)]
    texts = [straighten(text) for verse, part in zip(verses, parts) if part == "train" for text in verse[1:]]
    tokenizer = tokenizer_of(pieces(texts))
    tokenizer.save(str(out / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 512, "eos_token": "</s>",
                "unk_token": "<unk>", "pad_token": "<pad>", "additional_special_tokens": SENTINELS[::-1]}
    (out / "tokenizer_config.json").write_text(json.dumps(settings, indent=1) + "\n")

    with open(out / "held_out.tsv", "w", encoding="utf-8") as file:
        for (where, source, target), part in zip(verses, parts):
            if part == "books":
                pairs = pairs_of(tokenizer, source, target, links.get(where, []))
                file.write("\t".join([where, source, target, pairs]) + "\n")

    ids = {name: [coded.ids for coded in tokenizer.encode_batch([verse[column] for verse in verses])]
           for name, column in (("source", 1), ("target", 2))}
    (out / "tokens.json").write_text(json.dumps({"part": parts, **ids}))
    for column, name in ((1, "source"), (2, "target")):
        words = sum(len(verse[column].split()) for verse in verses)
        print(f"{name}: {sum(map(len, ids[name])) / words:.3f} tokens a word, longest verse {max(map(len, ids[name]))}")
    print({part: parts.count(part) for part in ("train", "verses", "books")})


if __name__ == "__main__":
    main()
