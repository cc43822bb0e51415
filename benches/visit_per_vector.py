"""The flow graph of VISIT for GPT-2, written straightforwardly: every node and every shaded link sends its one vector
through final norm and head when it needs it, as VISIT does. This is what Flowlens's batched graph is measured against.

Only the numbers and texts of the graph are made here, no picture. Run as a script on a checkpoint it writes the graph
as JSON: python visit_per_vector.py FOLDER PROMPT LAYERS TARGET_ID OUT.json
"""
import json
import sys

import numpy as np
import torch

TOP, BOTTOM, HEADS, SLOTS = 18, 7, 10, 2
RANKS = ["lime", "greenyellow"] + ["yellow"] * 3 + ["dimgrey"] * 53 + ["orangered"] * 3 + ["red"] * 4 + ["darkred"] * 5
NAMED = dict(lime="00ff00", greenyellow="adff2f", yellow="ffff00", dimgrey="696969", orangered="ff4500", red="ff0000",
             darkred="8b0000", khaki="f0e68c", green="008000", darkslategrey="2f4f4f", lightgrey="d3d3d3")


def table(stops):
    colours = np.array([[int(NAMED[s][i:i + 2], 16) for i in (0, 2, 4)] for s in stops]) / 255
    at, grid = np.linspace(0, 1, 256), np.linspace(0, 1, len(stops))
    return np.stack([np.interp(at, grid, colours[:, i]) for i in range(3)], 1)


RANK, SCORE, ENTROPY = table(RANKS), table(["khaki", "yellow", "green"]), table(["darkslategrey", "lightgrey", "lightgrey"])


def colour(entries, x):
    r, g, b = entries[min(255, int(x * 256))]
    return f"rgba({r}, {g}, {b}, 1.0)"


def norm(v):
    return round(float(torch.linalg.vector_norm(v)), 3)


class FlowGraph:
    def __init__(self, model, tokenizer, target):
        self.model, self.tokenizer, self.target = model, tokenizer, target
        self.width, self.heads = model.config.n_embd, model.config.n_head
        self.nodes, self.links, self.projections = [], [], 0

    def collect(self, ids):
        """What the graph needs of one run: the last position's activations, and keys and values of all positions."""
        self.ids, kept = ids, {}
        with torch.no_grad():
            handles = []
            for name, module in self.model.named_modules():
                def keep(_m, inputs, output, name=name):
                    kept[name] = (inputs[0] if inputs else None, output[0] if isinstance(output, tuple) else output)
                handles.append(module.register_forward_hook(keep))
            out = self.model(torch.tensor([ids]), output_attentions=True, use_cache=False)
            for handle in handles:
                handle.remove()
        last = lambda tensor: tensor.reshape(-1, tensor.shape[-1])[-1].clone()
        self.kept = {name: tuple(None if t is None else last(t) for t in pair) for name, pair in kept.items() if ".h." in name}
        self.attention = [a[0, :, -1] for a in out.attentions]
        self.qkv = [kept[f"transformer.h.{i}.attn.c_attn"][1][0] for i in range(self.model.config.n_layer)]

    # One vector to the vocabulary, each time it is asked for.
    def probabilities(self, v):
        self.projections += 1
        with torch.no_grad():
            return torch.softmax(self.model.lm_head(self.model.transformer.ln_f(v)).float(), -1)

    def rank(self, p):
        return int((p > p[self.target]).sum()) + 1

    def decode(self, token):
        return self.tokenizer.decode([int(token)], skip_special_tokens=True)

    def text(self, v, prefix, layer=None, bottom=False):
        p = self.probabilities(v)
        words = [self.decode(t) for t in torch.topk(p, 5, largest=not bottom).indices]
        text = f"{prefix}: {words}" if prefix else str(words)
        text = f"{layer}) {text}" if layer is not None else text
        status = f'prob:{round(float(p[self.target]) * 100, 3)}%, rank: {self.rank(p)})]'
        return f'{text} [status: "{self.decode(self.target)}": {status}', words[0]

    def entropy(self, v):
        p = self.probabilities(v).numpy()
        p = p[p != 0]
        return colour(ENTROPY, min(max(float(-(p * np.log2(p)).sum()) / 30, 0), 1))

    def node(self, v, prefix, layer, bottom=False, fixed=None):
        text, label = self.text(v, prefix, layer, bottom)
        return self.add(label, text, v, fixed)

    def add(self, label, hover, v, fixed=None):
        shade = colour(RANK, self.rank(self.probabilities(v)) / self.model.config.vocab_size)
        self.nodes.append({"label": label, "color": fixed or shade, "hover": hover})
        return len(self.nodes) - 1

    def link(self, source, target, weight, shade, text=None):
        shade = shade if isinstance(shade, str) else self.entropy(shade)
        self.links.append({"source": source, "target": target, "weight": abs(float(weight)), "color": shade,
                           "hover": text or f"norm: {weight}"})

    def pad(self, x, head):
        width = self.width // self.heads
        full = torch.zeros(self.width)
        full[head * width:(head + 1) * width] = x
        return full

    def build(self, layers):
        for place, layer in enumerate(layers):
            self.block(layer, place == 0)
        return {"layers": list(layers), "nodes": self.nodes, "links": self.links}

    def block(self, layer, first):
        at = lambda name: self.kept[f"transformer.h.{layer}.{name}"]
        block_in, attn_in = at("ln_1")
        attn_out, middle = at("attn")[1], at("ln_2")[0]
        mlp_in, mlp_out = at("mlp")
        block_out = self.kept[f"transformer.h.{layer}"][1]
        if first:
            self.input, self.input_norm = self.node(block_in, "block_input", layer), norm(block_in)
        a = self.node(attn_in, "attn_input", layer)
        b = self.node(attn_out, "attn_output", layer)
        c = self.node(middle, "residual_after_attn", layer)
        d = self.node(mlp_in, "mlp_input", layer)
        e = self.node(mlp_out, "mlp_output", layer)
        f = self.node(block_out, "block_output", layer)
        self.link(self.input, a, self.input_norm, "darkviolet")
        self.link(b, c, norm(attn_out), attn_out)
        self.link(self.input, c, self.input_norm, "rgba(102,0,204,0.3)")
        self.link(c, d, norm(middle), "darkviolet")
        self.link(e, f, norm(mlp_out), mlp_out)
        self.link(c, f, norm(middle), "rgba(51,102,153,0.3)")
        self.attend(layer, a, b, attn_in)
        self.feed(layer, d, e, mlp_in)
        self.input = f

    def three(self, parts, head):
        names = "qi ki vi".split() if head is not None else "q k v".split()
        title = f"head {head}:" if head is not None else "q,k,v (before splitting into heads):"
        ends = ["for current calc", "for next tokens", "for next tokens"]
        texts = [self.text(v, f"{name} ({end})") for v, name, end in zip(parts, names, ends)]
        return self.add(texts[0][1], "<br />".join([title] + [t[0] for t in texts]), parts[0])

    def attend(self, layer, attn_in_node, attn_out_node, attn_in):
        block = self.model.transformer.h[layer]
        weight, h, width = block.attn.c_attn.weight.detach(), self.width, self.width // self.heads
        wq, wk, wo = weight[:, :h], weight[:, h:2 * h], block.attn.c_proj.weight.detach()
        rows = self.qkv[layer]
        q, k, v = rows[-1].split(h)
        concat = self.kept[f"transformer.h.{layer}.attn.c_proj"][0]
        together = self.three((q @ wk, wq @ k, v @ wo), None)
        mixed = self.node(concat, "concated_heads (without projection)", layer, fixed="white")
        self.link(attn_in_node, together, norm(attn_in), q)
        slices = lambda x, head: x[..., head * width:(head + 1) * width]
        strength = [float(torch.linalg.vector_norm(slices(concat, i))) for i in range(self.heads)]
        for head in sorted(sorted(range(self.heads), key=lambda i: -strength[i])[:HEADS]):
            padded = lambda x: self.pad(slices(x, head), head)
            query = padded(q) @ wk
            one = self.three((query, wq @ padded(k), padded(v) @ wo), head)
            out = padded(concat) @ wo
            two = self.node(out, f"head {head}: output", layer)
            self.link(together, one, norm(query) * 0.2, query)
            self.link(two, mixed, norm(out) * 1.8, out, f"after projection {norm(out)}")
            scores = self.attention[layer][head]
            for slot in torch.topk(scores, min(SLOTS, len(scores))).indices.tolist():
                key, value = wq @ padded(rows[slot][h:2 * h]), padded(rows[slot][2 * h:]) @ wo
                made = f'[created from "{self.decode(self.ids[slot])}"]'
                three = self.node(key, f"head {head}: key {slot} {made}", layer)
                four = self.node(value, f"head {head}: value {slot} {made}", layer)
                s = round(float(scores[slot]), 3)
                shade, share = colour(SCORE, s), s * norm(value)
                self.link(one, three, max(s * 10, 0.51), shade, f"attention score: {s} (qi norm: {norm(query)})")
                self.link(three, four, max(s * 10, 0.51), shade, f"attention score: {s} (ki norm: {norm(query)})")
                self.link(four, two, max(share * 1.3, 0.51), value,
                          f"attention score * norm: {round(share, 3)} (vi norm: {norm(value)})")
        for row, good in self.chosen(concat * torch.linalg.vector_norm(wo, dim=1)):
            act, size = float(concat[row]), round(float(concat[row] * torch.linalg.vector_norm(wo[row])), 3)
            name = f"value index:{row} (from head {row // width}), activision:{round(act, 3)}: "
            one = self.node(wo[row], name, layer, bottom=not good)
            self.link(mixed, one, 7, "blue" if good else "red", f"activision:{round(act, 3)}")
            self.link(one, attn_out_node, size, wo[row], f"activision*norm:{size}")
        bias = block.attn.c_proj.bias.detach()
        one = self.node(bias, "c_proj_bias", layer, fixed="pink")
        self.link(mixed, one, 7, "pink", f"norm: {norm(bias)}")
        self.link(one, attn_out_node, norm(bias), "pink", f"norm: {norm(bias)}")

    @staticmethod
    def chosen(strength):
        top, low = torch.topk(strength, TOP).indices, torch.topk(strength, BOTTOM, largest=False).indices
        return [(int(i), True) for i in top] + [(int(i), False) for i in low]

    def feed(self, layer, mlp_in_node, mlp_out_node, mlp_in):
        mlp = self.model.transformer.h[layer].mlp
        first, second = mlp.c_fc.weight.detach(), mlp.c_proj.weight.detach()
        acts = self.kept[f"transformer.h.{layer}.mlp.c_proj"][0]
        for row, good in self.chosen(acts * torch.linalg.vector_norm(second, dim=1)):
            key, value = first[:, row], second[row]
            act, size = round(float(acts[row]), 3), round(float(acts[row] * torch.linalg.vector_norm(value)), 3)
            one = self.node(key, f"key{row}", layer)
            two = self.node(value, f"value{row}", layer, bottom=not good)
            self.link(one, two, abs(act) * 1.5, "blue" if good else "red", f"activision:{act}")
            self.link(mlp_in_node, one, 7, key, f"key norm: {norm(key)}")
            self.link(two, mlp_out_node, size, value, f"activision*norm:{abs(size)}. value norm {norm(value)}")
        one = self.node(mlp.c_fc.bias.detach() @ second, "c_fc_bias", layer, fixed="pink")
        two = self.node(mlp.c_proj.bias.detach(), "c_proj_bias", layer, fixed="pink")
        self.link(one, two, 0.05, "black")
        self.link(mlp_in_node, one, 7, "pink", f"norm:{norm(mlp_in)}")
        self.link(two, mlp_out_node, norm(mlp.c_proj.bias.detach()), "pink")


def load(folder):
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    return model, PreTrainedTokenizerFast(tokenizer_file=f"{folder}/tokenizer.json")


if __name__ == "__main__":
    folder, prompt, layers, target, out = sys.argv[1:]
    model, tokenizer = load(folder)
    graph = FlowGraph(model, tokenizer, int(target))
    graph.collect(tokenizer.encode(prompt))
    built = graph.build([int(layer) for layer in layers.split(",")])
    print(len(built["nodes"]), "nodes", len(built["links"]), "links", graph.projections, "projections", file=sys.stderr)
    with open(out, "w") as f:
        json.dump({"graphs": [built]}, f)
