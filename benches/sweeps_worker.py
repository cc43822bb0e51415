"""The Python side of sweeps.py: TransformerLens does one job whenever a line comes in, and answers with its seconds.

  sweeps_worker.py FOLDER PAIRS.json     lines: resid_pre, z, attribute
"""
import json
import sys
import tempfile
import time

import torch
from tokenizers import Tokenizer, models
from transformer_lens import patching
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.tools.analysis.attribution_patching import attribution_patch
from transformers import AutoTokenizer, PreTrainedTokenizerFast

folder, pairs = sys.argv[1:3]
with open(pairs) as f:
    pairs = json.load(f)
# Ids are given: a tokenizer is wanted, but never asked.
plain = Tokenizer(models.WordLevel({"<unk>": 0, "<eos>": 1}, unk_token="<unk>"))
with tempfile.TemporaryDirectory() as there:
    PreTrainedTokenizerFast(tokenizer_object=plain, unk_token="<unk>", eos_token="<eos>", pad_token="<eos>",
                            bos_token="<eos>").save_pretrained(there)
    tokenizer = AutoTokenizer.from_pretrained(there)
    model = TransformerBridge.boot_transformers(folder, device="cpu", dtype=torch.float32, tokenizer=tokenizer)
clean, corrupted = (torch.tensor([pair[side] for pair in pairs]) for side in ("clean", "corrupted"))
right, wrong = (torch.tensor([pair[side] for pair in pairs]) for side in ("right", "wrong"))
rows = torch.arange(len(pairs))


def metric(logits):
    return (logits[rows, -1, right] - logits[rows, -1, wrong]).mean()


def job(name):
    if name == "attribute":
        return attribution_patch(model, clean, corrupted, metric)
    with torch.inference_mode():
        site = "resid_pre" if name == "resid_pre" else "hook_z"
        _, cache = model.run_with_cache(clean, names_filter=lambda hook: hook.endswith(site))
        if name == "resid_pre":
            return patching.get_act_patch_resid_pre(model, corrupted, cache, metric)
        return patching.get_act_patch_attn_head_out_all_pos(model, corrupted, cache, metric)


for line in sys.stdin:
    before = time.perf_counter()
    result = job(line.strip())
    seconds = time.perf_counter() - before
    if torch.is_tensor(result):
        print(result.flatten()[:4].tolist(), result.flatten()[-3:].tolist(), file=sys.stderr)
    print(seconds, flush=True)
