"""A tiny checkpoint as Python `transformers` runs it, and what passes at the sites of experiments: hooks on its modules read
and replace it, and patterns are taken at the softmax. See make_experiment_fixtures.py.
"""
import os
import re

import torch
import transformers
from torch.overrides import TorchFunctionMode

PARITY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../tests/fixtures/parity")
ATTENTION = r"(attn|attn\.attention|attention|self_attn|self_attention|layer\.0\.SelfAttention)"
CROSS = r"(encoder_attn|layer\.1\.EncDecAttention)"
WRITE = r"(c_proj|out_proj|o_proj|dense|output\.dense|o|Wo)"
MLP = r"(mlp\.(c_proj|fc_out|dense_4h_to_h|down_proj|fc2|Wo)|fc2|output\.dense|layer\.[12]\.DenseReluDense\.wo)"
FUSED = r"\.(c_attn|query_key_value|qkv_proj|Wqkv)"
# Each site's module in a block, and whether it is what the module reads or gives. Of several lines the first that is there.
PLACES = [
    ("resid_pre", "", "reads"),
    ("z", rf"{ATTENTION}\.{WRITE}", "reads"),
    ("attn_out", r"post_attention_layernorm", "gives"),
    ("attn_out", rf"{ATTENTION}\.{WRITE}", "gives"),
    ("cross_z", rf"{CROSS}\.(out_proj|o)", "reads"),
    ("cross_out", rf"{CROSS}\.(out_proj|o)", "gives"),
    ("mlp_out", r"post_feedforward_layernorm", "gives"),
    ("mlp_out", MLP, "gives"),
    ("mlp_out", r"mlp", "gives"),
    ("post", MLP, "reads"),
] + [line for letter, word in zip("qkv", ("query", "key", "value")) for line in (
    (letter, rf"{ATTENTION}(\.self)?\.({letter}_proj|{word}|{letter})", "gives"),
    (letter, ATTENTION + FUSED, "gives"),
    (f"cross_{letter}", rf"{CROSS}\.({letter}_proj|{letter})", "gives"),
)]
NORMS_WHAT_IS_WRITTEN = ("gemma2", "gemma3_text", "olmo2")
MASKED = ("bert", "roberta", "modernbert")
BY_POSITION = ("resid_pre", "resid_mid", "attn_out", "mlp_out", "encoder_resid_pre")


class Softmax(TorchFunctionMode):
    """Hands each softmax over keys to whoever watches, and goes on with what comes back."""

    def __init__(self, at):
        super().__init__()
        self.at, self.count = at, 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if getattr(func, "__name__", "") == "softmax" and out.dim() == 4:
            self.count += 1
            return self.at(self.count - 1, out)
        return out


class Subject:
    """A checkpoint, its inputs, and what passes at its sites. A place is a site and a layer: ("z", 1)."""

    def __init__(self, name, dtype=torch.float32):
        self.name, folder = name, f"{PARITY}/{name}"
        self.config = config = transformers.AutoConfig.from_pretrained(folder)
        model = getattr(transformers, config.architectures[0])
        self.model = model.from_pretrained(folder, attn_implementation="eager", experts_implementation="eager", dtype=dtype).eval()
        self.both, self.type = config.is_encoder_decoder, config.model_type
        self.modules = {}  # place -> module, whether it reads the site
        self.layers = self.find("" if not self.both else "decoder.")
        self.encoder_layers = self.find("encoder.") if self.both else 0
        for module in self.model.modules():
            if hasattr(module, "reorder_and_upcast_attn"):
                module.reorder_and_upcast_attn = False  # it insists on float32
        heads = [getattr(config, key, None) for key in ("decoder_attention_heads", "num_attention_heads", "n_head")]
        self.heads = next(count for count in heads if count)
        self.parallel = (self.type in ("gptj", "phi") or getattr(config, "use_parallel_residual", False)
                         or self.type == "falcon" and (config.parallel_attn or config.new_decoder_architecture))
        mixed = self.modules["z", 0][0]
        self.width = (mixed.in_features if isinstance(mixed, torch.nn.Linear) else mixed.nx) // self.heads
        stack = range(self.layers)
        self.softmaxes = ([("encoder_pattern", layer) for layer in range(self.encoder_layers)]
                          + [(site, layer) for layer in stack for site in ["pattern"] + ["cross_pattern"] * self.both])

    def find(self, part):
        """Finds the places of a stack; its number of layers."""
        names, layers = dict(self.model.named_modules()), 0
        for name in names:
            block = re.fullmatch(rf"(\w+\.)?{part}((en|de)coder\.)?(h|layers|layer|block)\.(\d+)", name)
            if not block:
                continue
            layer, layers = int(block[5]), layers + 1
            inside = {other[len(name) + 1:]: module for other, module in names.items() if (other + ".").startswith(name + ".")}
            for site, pattern, side in PLACES:
                if "post_" in pattern and self.type not in NORMS_WHAT_IS_WRITTEN:
                    continue
                place = f"encoder_{site}" if part == "encoder." else site, layer
                module = next((module for other, module in inside.items() if re.fullmatch(pattern, other)), None)
                if module is not None and place not in self.modules:
                    self.modules[place] = module, side == "reads"
        return layers

    def has(self, site):
        return (site, 0) in self.modules or (site, 0) in self.softmaxes

    def depth(self, site):
        return range(self.encoder_layers if site.startswith("encoder_") else self.layers)

    def run(self, inputs, edits={}):
        """The logits of a run in which what passes at places goes through functions."""
        rows, handles, done = len(inputs["input_ids"]), [], []

        def through(place, x):
            done.append(place)
            whole = x.reshape(rows, -1, x.shape[-1]) if x.dim() == 2 else x  # OPT's MLP sees all rows as one
            return edits[place](whole).reshape(x.shape)

        def before(place):
            def hook(module, args, kwargs):
                if args:
                    return (through(place, args[0]), *args[1:]), kwargs
                return args, kwargs | {"hidden_states": through(place, kwargs["hidden_states"])}
            return hook

        def after(place):
            return lambda module, args, out: (through(place, out[0]), *out[1:]) if isinstance(out, tuple) else through(place, out)

        for place in edits:
            if place in self.softmaxes:
                continue
            module, reads = self.modules[place]
            if reads:
                handles.append(module.register_forward_pre_hook(before(place), with_kwargs=True))
            else:
                handles.append(module.register_forward_hook(after(place)))
        pattern = lambda call, x: through(self.softmaxes[call], x) if self.softmaxes[call] in edits else x
        with Softmax(pattern) as mode:
            logits = self.model(**inputs, **({} if self.type in MASKED else {"use_cache": False})).logits
        [handle.remove() for handle in handles]
        assert sorted(done) == sorted(edits) and mode.count == len(self.softmaxes), "a place was not passed exactly once"
        return logits

    def watch(self, inputs, places):
        """The logits, and what passes at places. The run goes on with what is kept, so that gradients reach it."""
        kept = {}

        def keep(place):
            def edit(x):
                kept[place] = x.clone()  # Falcon adds to its MLP's output in place
                return kept[place].clone()
            return edit
        return self.run(inputs, {place: keep(place) for place in places}), kept

    def cells(self, site, x):
        """The indices of a site's cells (positions or heads) in what passes there."""
        if site in BY_POSITION:
            return [(slice(None), t) for t in range(x.shape[1])]
        if "pattern" in site:
            return [(slice(None), h) for h in range(x.shape[1])]
        H, letter, width = self.heads, site[-1], self.width
        if letter == "z" or self.modules[site[:-1] + "q", 0] != self.modules[site[:-1] + "k", 0]:
            first = range(x.shape[-1] // width)
        else:  # one module gives all three
            K = (x.shape[-1] // width - H) // 2
            grouped = self.type in ("falcon", "gpt_neox", "bloom")  # each key head after its queries, then its value
            each = H // K + 2
            first = {"q": [h // (each - 2) * each + h % (each - 2) for h in range(H)] if grouped else range(H),
                     "k": [g * each + each - 2 for g in range(K)] if grouped else range(H, H + K),
                     "v": [g * each + each - 1 for g in range(K)] if grouped else range(H + K, H + 2 * K)}[letter]
        return [(slice(None), slice(None), slice(c * width, (c + 1) * width)) for c in first]


def put(index, value):
    def edit(x):
        x = x.clone()
        x[index] = value[index] if torch.is_tensor(value) else value
        return x
    return edit
