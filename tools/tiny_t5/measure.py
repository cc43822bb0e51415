#!/usr/bin/env python3
"""What a trained model can do: measure.py MODEL DATA BIBLES [--out measured.json]

MODEL is a folder of train.py, DATA of prepare.py, BIBLES of bibles.py. All on verses that were held out.
Loss in nats a token; BLEU of greedy decoding, and of leaving the verse as it is; how often the largest weight of cross
attention is on the right source word; the position kernels' shapes; how alike the encoder's positions are.
"""
import argparse
import json
import re
from pathlib import Path

import numpy as np
import sacrebleu
import torch
from tokenizers import Tokenizer
from transformers import T5ForConditionalGeneration

from prepare import read_verses, straighten

PAD, IGNORED = 0, -100
WINDOW = 16


def padded(rows, value=PAD):
    longest = max(map(len, rows))
    return torch.tensor([row + [value] * (longest - len(row)) for row in rows])


def words(text):
    """Words and single marks with blanks between them."""
    return " ".join(re.findall(r"\w+(?:'\w+)?|[^\w\s]", straighten(text)))


class Measured:
    def __init__(self, model, data, bibles):
        load = T5ForConditionalGeneration.from_pretrained
        self.model = load(model, dtype=torch.float32, attn_implementation="eager").eval()
        self.tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
        self.verses = read_verses(bibles / "verses.tsv.gz")
        self.links = json.loads((bibles / "links.json").read_text())
        tokens = json.loads((data / "tokens.json").read_text())
        self.source, self.target = tokens["source"], tokens["target"]
        self.parts = {part: [i for i, found in enumerate(tokens["part"]) if found == part] for part in ("verses", "books")}

    def batches(self, part, size=32):
        """Verses of like length together."""
        order = sorted(self.parts[part], key=lambda i: len(self.source[i]))
        return [order[i:i + size] for i in range(0, len(order), size)]

    def loss(self, part):
        total = count = 0
        for batch in self.batches(part):
            source = padded([self.source[i] for i in batch])
            labels = padded([self.target[i] for i in batch], IGNORED)
            tokens = sum(len(self.target[i]) for i in batch)
            total += self.model(input_ids=source, attention_mask=(source != PAD).long(), labels=labels).loss.item() * tokens
            count += tokens
        return {"nats": round(total / count, 4), "tokens": count}

    def bleu(self, part):
        """Over words and single marks, case kept, quotes straightened on both sides."""
        made, copies, wanted = [], [], []
        for batch in self.batches(part):
            source = padded([self.source[i] for i in batch])
            ids = self.model.generate(source, attention_mask=(source != PAD).long(), max_new_tokens=110, num_beams=1,
                                      do_sample=False)
            made += self.tokenizer.decode_batch(ids.tolist())
            copies += [self.verses[i][1] for i in batch]
            wanted += [self.verses[i][2] for i in batch]
        made, copies, wanted = ([words(text) for text in texts] for texts in (made, copies, wanted))
        score = lambda texts: round(sacrebleu.corpus_bleu(texts, [wanted], tokenize="none", force=True).score, 1)
        exact = sum(a == b for a, b in zip(made, wanted))
        return {"bleu": score(made), "bleu_of_the_source": score(copies), "exact": exact, "verses": len(made)}

    def alignment(self):
        """For each layer and head, in how many of the links the largest weight, where the first piece of the target word is
        about to be written, is on the source word. Also for a guess: the same fraction of the way through the verse."""
        config = self.model.config
        hits, guess, count = np.zeros((config.num_decoder_layers, config.num_heads)), 0, 0
        for i in self.parts["verses"] + self.parts["books"]:
            where, source_text, target_text = self.verses[i]
            if where not in self.links:
                continue
            source, target = self.tokenizer.encode(source_text), self.tokenizer.encode(target_text)
            ids, labels = torch.tensor([source.ids]), torch.tensor([target.ids])
            output = self.model(input_ids=ids, labels=labels, output_attentions=True)
            largest = torch.cat(output.cross_attentions).argmax(-1).numpy()  # layer, head, target position
            for start, end, target_start, target_end in self.links[where]:
                on = [k for k, (a, b) in enumerate(source.offsets[:-1]) if b > start and a < end]
                at = [k for k, (a, b) in enumerate(target.offsets[:-1]) if b > target_start and a < target_end]
                if on and at:
                    hits += np.isin(largest[:, :, at[0]], on)
                    guess += round(at[0] * len(source.ids) / len(target.ids)) in on
                    count += 1
        return {"links": count, "guess": round(guess / count, 3), "layers": (hits / count).round(3).tolist()}

    def kernels(self):
        """exp(bias), normalised over -16..16 (decoder: -16..0): the offset with the most weight, and its weight."""
        found = {}
        for name, stack, last in (("encoder", self.model.encoder, WINDOW), ("decoder", self.model.decoder, 0)):
            attention = stack.block[0].layer[0].SelfAttention
            offsets = torch.arange(-WINDOW, last + 1)
            buckets = attention._relative_position_bucket(offsets, name == "encoder", num_buckets=32, max_distance=128)
            weights = attention.relative_attention_bias.weight[buckets].softmax(0)
            found[name] = [[int(offsets[k]), round(float(weights[k, head]), 2)] for head, k in enumerate(weights.argmax(0))]
        return found

    def similarity(self):
        """Mean cosine of two encoder positions of a verse: of one token at two places, of neighbours, of others."""
        layers = self.model.config.num_layers + 1
        sums, counts = np.zeros((layers, 3)), np.zeros(3)
        for i in self.parts["verses"][:120]:
            ids = np.array(self.source[i])
            states = self.model.encoder(torch.tensor(ids[None]), output_hidden_states=True).hidden_states
            x, y = np.tril_indices(len(ids), -1)
            kind = np.where(ids[x] == ids[y], 0, np.where(x - y == 1, 1, 2))
            counts += np.bincount(kind, minlength=3)
            for layer, state in enumerate(states):
                unit = torch.nn.functional.normalize(state[0], dim=-1)
                sums[layer] += np.bincount(kind, weights=(unit @ unit.T).numpy()[x, y], minlength=3)
        return (sums / counts).round(2).tolist()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("model", "data", "bibles"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    measured = Measured(options.model, options.data, options.bibles)
    found = {}
    for name, measure in {
        "loss": lambda: {part: measured.loss(part) for part in measured.parts},
        "translation": lambda: {part: measured.bleu(part) for part in measured.parts},
        "alignment": measured.alignment, "kernels": measured.kernels, "similarity": measured.similarity,
    }.items():
        found[name] = measure()
        print(name, json.dumps(found[name]), flush=True)
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
