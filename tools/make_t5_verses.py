#!/usr/bin/env python3
"""Writes tests/fixtures/t5_verses.json: what `transformers` computes with notebooks/models/t5-verses.

The verse is of the book of Ruth, which was held out. Of the logits every 32nd is kept, for each position of the decoder.
"""
import json
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import T5ForConditionalGeneration

ROOT = Path(__file__).resolve().parent.parent
SOURCE = "And Ruth said, Intreat me not to leave thee, or to return from following after thee: for whither thou goest, I will go;"
TARGET = "Ruth said, “Don’t urge me to leave you, and to return from following you, for where you go, I will go;"

torch.set_grad_enabled(False)
folder = ROOT / "notebooks/models/t5-verses"
tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
model = T5ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
source, target = tokenizer.encode(SOURCE).ids, [0, *tokenizer.encode(TARGET, add_special_tokens=False).ids]
logits = model(input_ids=torch.tensor([source]), decoder_input_ids=torch.tensor([target])).logits[0]
written = model.generate(torch.tensor([source]), max_new_tokens=30, num_beams=1, do_sample=False)[0].tolist()
found = {"source": SOURCE, "target": TARGET, "source_ids": source, "target_ids": target,
         "logits": [[round(x, 6) for x in row] for row in logits[:, ::32].tolist()], "written": tokenizer.decode(written)}
(ROOT / "tests/fixtures/t5_verses.json").write_text(json.dumps(found, ensure_ascii=False) + "\n")
