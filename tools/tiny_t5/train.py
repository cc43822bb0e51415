#!/usr/bin/env python3
"""Trains the T5 on the CPU: train.py DATA OUT [--epochs 6] [--minutes 90] ..

DATA is what prepare.py wrote. The learning rate warms up and falls to zero along a cosine over the epochs or the minutes,
whichever end first, so that the model is finished at any budget. OUT gets the model as a Hugging Face folder whenever the
held-out loss is measured and is the best so far, and log.jsonl.
"""
import argparse
import copy
import json
import math
import random
import shutil
import time
from pathlib import Path

import torch
from transformers import T5Config, T5ForConditionalGeneration

PAD, END, IGNORED = 0, 1, -100


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=90)
    parser.add_argument("--epochs", type=float, default=6)
    parser.add_argument("--layers", type=int, default=3, help="of the encoder and of the decoder")
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--heads", type=int, default=6)
    parser.add_argument("--mlp", type=int, default=512)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--rate", type=float, default=4e-3)
    parser.add_argument("--embedding-rate", type=float, default=2, help="times the rate")
    parser.add_argument("--batch", type=int, default=2048, help="tokens of a batch, padding counted")
    parser.add_argument("--measure-every", type=float, default=6, help="minutes between two measurements")
    parser.add_argument("--bf16", action="store_true", help="bfloat16 inside of products: faster where the CPU has AMX")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def batches(pairs, tokens, shuffle):
    """Verses of like length together: little padding. Sorted by thousands, so that the order stays random at large."""
    pairs = random.sample(pairs, len(pairs)) if shuffle else list(pairs)
    made = []
    for start in range(0, len(pairs), 6000):
        batch, longest = [], 0
        for pair in sorted(pairs[start:start + 6000], key=lambda pair: (len(pair[1]), len(pair[0]))):
            longest = max(longest, *map(len, pair))
            if batch and longest * (len(batch) + 1) > tokens:
                made.append(batch)
                batch, longest = [], max(map(len, pair))
            batch.append(pair)
        made.append(batch)
    return random.sample(made, len(made)) if shuffle else made


def padded(rows, value):
    longest = max(map(len, rows))
    return torch.tensor([row + [value] * (longest - len(row)) for row in rows])


def model_of(opts):
    config = T5Config(
        vocab_size=4096, d_model=opts.width, d_kv=32, num_heads=opts.heads, d_ff=opts.mlp, num_layers=opts.layers,
        num_decoder_layers=opts.layers, relative_attention_num_buckets=32, relative_attention_max_distance=128,
        dropout_rate=opts.dropout, feed_forward_proj="relu", tie_word_embeddings=True, decoder_start_token_id=PAD,
        pad_token_id=PAD, eos_token_id=END)
    return T5ForConditionalGeneration(config)


def optimizers(model, opts):
    """Muon for the matrices, AdamW for embeddings, norms and position tables. Each with what its rate is multiplied by."""
    matrices, others = [], []
    for name, weight in model.named_parameters():
        is_matrix = weight.ndim == 2 and not any(part in name for part in ("shared", "relative"))
        (matrices if is_matrix else others).append(weight)
    return [(torch.optim.Muon(matrices, weight_decay=0, adjust_lr_fn="match_rms_adamw"), 1),
            (torch.optim.AdamW(others, betas=(0.9, 0.98), weight_decay=0, fused=True), opts.embedding_rate)]


class Training:
    def __init__(self, opts):
        self.opts, self.model = opts, model_of(opts)
        self.optimizers = optimizers(self.model, opts)
        tokens = json.loads((opts.data / "tokens.json").read_text())
        rows = list(zip(tokens["source"], tokens["target"], tokens["part"]))
        self.pairs = {wanted: [(source, target) for source, target, part in rows if part == wanted]
                      for wanted in ("train", "verses", "books")}
        self.began, self.measuring, self.best = time.time(), 0.0, math.inf
        weights = sum(weight.numel() for weight in self.model.parameters())
        print(f"{weights / 1e6:.2f} M weights", flush=True)

    def loss(self, batch):
        source = padded([source for source, _ in batch], PAD)
        labels = padded([target for _, target in batch], IGNORED)
        return self.model(input_ids=source, attention_mask=(source != PAD).long(), labels=labels).loss

    def minutes(self):
        """Of training: measuring does not count."""
        return (time.time() - self.began - self.measuring) / 60

    def step(self, batch, done):
        rate = self.opts.rate * min(1, done / 0.03) * 0.5 * (1 + math.cos(math.pi * max(0, done - 0.03) / 0.97))
        for optimizer, times in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = max(rate, 1e-6) * times
        loss = self.loss(batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer, _ in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return loss.item()

    @torch.no_grad()
    def held_out(self, part):
        """Nats a token."""
        self.model.eval()
        total = count = 0
        for batch in batches(self.pairs[part], 6000, shuffle=False):
            tokens = sum(len(target) for _, target in batch)
            total += self.loss(batch).item() * tokens
            count += tokens
        self.model.train()
        return total / count

    def measure(self, state):
        before = time.time()
        losses = {part: round(self.held_out(part), 4) for part in ("verses", "books")}
        if losses["verses"] < self.best:
            self.best = losses["verses"]
            copy.deepcopy(self.model).half().save_pretrained(self.opts.out)
            for name in ("tokenizer.json", "tokenizer_config.json", "held_out.tsv"):
                shutil.copy(self.opts.data / name, self.opts.out)
        with open(self.opts.out / "log.jsonl", "a") as log:
            log.write(json.dumps(state | losses) + "\n")
        print(state | losses, flush=True)
        self.measuring += time.time() - before

    def run(self):
        opts, step, tokens, losses = self.opts, 0, 0, []
        in_epoch = sum(len(target) for _, target in self.pairs["train"])
        next_measure = opts.measure_every
        while True:
            for batch in batches(self.pairs["train"], opts.batch, shuffle=True):
                minutes, epoch = self.minutes(), tokens / in_epoch
                done = max(minutes / opts.minutes, epoch / opts.epochs)
                if minutes >= next_measure or done >= 1:
                    self.measure({"step": step, "minutes": round(minutes, 2), "epoch": round(epoch, 3),
                                  "tokens_per_second": round(tokens / minutes / 60),
                                  "train": round(sum(losses) / max(len(losses), 1), 4)})
                    next_measure, losses = minutes + opts.measure_every, []
                if done >= 1:
                    return
                losses.append(self.step(batch, done))
                step += 1
                tokens += sum(len(target) for _, target in batch)


def main():
    opts = options()
    torch.set_num_threads(opts.threads)
    torch.set_float32_matmul_precision("medium" if opts.bf16 else "highest")
    torch.manual_seed(opts.seed)
    random.seed(opts.seed)
    opts.out.mkdir(parents=True, exist_ok=True)
    Training(opts).run()


if __name__ == "__main__":
    main()
