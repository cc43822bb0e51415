"""What Python `transformers` computes at every site of Flowlens (src/trace/site.rs): hooks on its modules, and a record
of its attention.

Modules give norms, projections and streams. Attention's tensors have no module of their own, so every call of torch is
recorded: what comes before a softmax of four axes are scores, what comes after it is a head's mix. Where Python holds no
such tensor it is computed from those that it holds, never from Flowlens:

- Scores without the mask: the recorded calls are made again with everything that hides positions left out.
- What positions add: those scores less scale * query * key.
- What a head writes: its mix through its columns of the output matrix.
- Experts: the matrices of all experts side by side, 0 where a token does not use one.
- What Bloom's and XLNet's modules add to the stream: what they return less what they were given to add to.
"""
import math
import re

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

HIDES = 5e3  # numbers that large stand for "must not be seen"
FILLS = {"masked_fill", "masked_fill_", "where", "__setitem__"}
PRODUCTS = {"matmul", "__matmul__", "bmm", "einsum", "baddbmm"}
PASSES = {"dropout", "to", "type_as", "type", "view", "reshape", "contiguous", "float", "permute", "transpose"}
IN_PLACE = {"__iadd__": torch.add, "__isub__": torch.sub, "__imul__": torch.mul, "__itruediv__": torch.div}
GEMMAS = ("gemma2", "gemma3_text", "gemma3")
ROTARY = ("gptj", "gpt_neox", "llama", "mistral", "qwen2", "qwen3", "phi", "phi3", "gemma", *GEMMAS, "olmo2", "stablelm",
          "ministral", "starcoder2", "mixtral", "qwen2_moe", "modernbert")
T5S, BARTS = ("t5", "mt5", "umt5"), ("bart", "mbart", "marian", "pegasus")

KINDS = [(kind, re.compile(f"(^|\\.)({pattern})$")) for kind, pattern in {
    "cross norm": r"encoder_attn_layer_norm",
    "attn norm": r"ln_1|layernorm1|input_layernorm|ln_attn|self_attn_layer_norm|attention\.output\.LayerNorm|sa_layer_norm"
                 r"|attention\.LayerNorm|layer_norm1\.\d+|rel_attn\.layer_norm|attn_norm",
    "mlp norm": r"ln_2|layernorm2|post_attention_layernorm|ln_mlp|layers\.\d+\.final_layer_norm|layer\.\d+\.output\.LayerNorm"
                r"|output_layer_norm|full_layer_layer_norm|layer_norm2\.\d+|ff\.layer_norm|mlp_norm",
    "cross out": r"encoder_attn\.out_proj|EncDecAttention\.o",
    "attn out": r"attn\.c_proj|out_proj|attention\.dense|self_attention\.dense|self_attn\.dense|multi_head_attention\.dense"
                r"|attention\.output\.dense|out_lin|attn\.o|SelfAttention\.o|attn\.Wo|o_proj",
    "up": r"c_fc|fc_in|dense_h_to_4h|mlp\.up_proj|fc1|ffn\.0|intermediate\.dense|lin1|layer_1|wi|wi_1|albert_layers\.\d+\.ffn",
    "gate": r"mlp\.gate_proj|wi_0",
    "gate up": r"gate_up_proj|mlp\.Wi",
    "down": r"mlp\.c_proj|fc_out|dense_4h_to_h|mlp\.down_proj|fc2|ffn\.2|layer\.\d+\.output\.dense|lin2|ffn_output|mlp\.Wo"
            r"|layer_2|wo",
    "neurons": r"gelu_impl",
    "block": r"h\.\d+|layers\.\d+|block\.\d+",
    "tokens": r"wte|embed_tokens|word_embeddings|tokens_embed|embed_in|w|word_embedding|tok_embeddings|shared|embeddings",
    "places": r"wpe|position_embeddings|embed_positions|positions_embed",
}.items()]
WRITTEN = {"post_attention_layernorm": "attn written", "post_feedforward_layernorm": "mlp written",
           "pre_feedforward_layernorm": "mlp norm"}


class Recorder(TorchFunctionMode):
    """Every call of torch and what it gave; of every softmax over keys what came before and after."""

    def __init__(self):
        super().__init__()
        self.made = {}  # id of a tensor -> the call that made it
        self.alive = []  # ids are given again when tensors go
        self.attentions = []
        self.pattern_of = {}

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs, args, name = kwargs or {}, tuple(args), getattr(func, "__name__", "")
        if name in IN_PLACE:  # each of these calls gives its name a new tensor
            func = IN_PLACE[name]
        elif name == "__setitem__" or name.endswith("_") and not name.endswith("__"):
            old, target = args[0].clone(), args[0]
            if id(target) in self.made:
                self.made[id(old)] = self.made[id(target)]
            out = func(*args, **kwargs)
            self.made[id(target)] = (getattr(torch, name.rstrip("_"), None), name, (old, *args[1:]), kwargs)
            self.alive.append((old, target, args))
            return out
        out = func(*args, **kwargs)
        if not isinstance(out, torch.Tensor) or any(out is arg for arg in args):
            return out
        self.alive.append((args, kwargs, out))
        self.made[id(out)] = (func, name, args, kwargs)
        before = next((self.pattern_of[id(arg)] for arg in flat(args) if id(arg) in self.pattern_of), None)
        if name == "softmax" and out.dim() == 4:
            self.pattern_of[id(out)] = {"input": args[0], "pattern": out}
            self.attentions.append(self.pattern_of[id(out)])
        elif before is not None and name in PRODUCTS:
            before.setdefault("mix", out)
        elif before is not None and name in PASSES:
            self.pattern_of[id(out)] = before
        return out

    def product(self, tensor):
        """The queries and keys whose product became these scores."""
        func, name, args, _ = self.made[id(tensor)]
        if name in PRODUCTS:
            return args[0], args[1].transpose(-1, -2)
        return self.product(next(arg for arg in args if isinstance(arg, torch.Tensor) and arg.is_floating_point()))

    def seen(self, tensor):
        """The same calculation with what hides positions left out."""
        func, name, args, kwargs = self.made.get(id(tensor), (None, "", (), {}))
        if tensor.dim() == 0 or tensor.abs().max() < HIDES:
            return tensor
        if name in FILLS:
            fits = [arg for arg in args if isinstance(arg, torch.Tensor) and arg.is_floating_point() and arg.dim() > 1]
            fits = [arg for arg in fits if arg.shape == tensor.shape] or fits
            return self.seen(fits[0]).expand_as(tensor) if fits else torch.zeros_like(tensor)
        tensors = [arg for arg in args if isinstance(arg, torch.Tensor)]
        if func is None or not tensors:
            return torch.zeros_like(tensor)
        args = [self.seen(arg) if isinstance(arg, torch.Tensor) and arg.is_floating_point() else arg for arg in args]
        again = func(*args, **kwargs)
        return again if again.abs().max() < HIDES else torch.zeros_like(tensor)


def flat(args):
    for arg in args:
        yield from arg if isinstance(arg, (tuple, list)) else [arg]


class Sites:
    def __init__(self, model):
        self.model, self.config = model, model.config.get_text_config()
        self.type, self.both = self.config.model_type, model.config.is_encoder_decoder
        self.calls = {}
        for name, module in model.named_modules():
            kind = self.kind(name, module)
            if kind:
                module.register_forward_hook(self.hook(kind, name), with_kwargs=True)

    def kind(self, name, module):
        leaf = name.rsplit(".", 1)[-1]
        if isinstance(module, torch.nn.Identity) or "shared_expert" in name or "vision" in name:
            return None
        if self.type in (*GEMMAS, "olmo2") and leaf in WRITTEN:
            return WRITTEN[leaf]
        if self.type in T5S and re.search(r"layer\.\d\.layer_norm$", name):
            place = int(name.split(".")[-2])
            return "attn norm" if place == 0 else "cross norm" if place == 1 and "decoder." in name else "mlp norm"
        if self.type == "bloom" and leaf == "self_attention":
            return "attn adds"
        if self.type == "bloom" and leaf == "mlp":
            return "mlp adds"
        if self.type == "xlnet" and leaf == "rel_attn":
            return "rel_attn"
        if hasattr(module, "experts"):
            return "experts"
        if self.type == "ctrl" and leaf == "multi_head_attention" or leaf == "experts":
            return None
        for kind, pattern in KINDS:
            if pattern.search(name):
                if kind in ("tokens", "places") and not isinstance(module, torch.nn.Embedding):
                    continue
                if kind == "up" and leaf == "ffn" and self.type != "albert":
                    continue
                return kind
        return None

    def hook(self, kind, name):
        layer = next((int(part) for part in name.split(".") if part.isdigit()), None)
        stack = ("decoder." if "decoder." in name else "encoder.") if self.both else ""

        def keep(module, args, kwargs, out):
            if kind == "tokens" and self.both:  # one table may serve both; the encoder comes first
                where = "decoder." if ("encoder.", kind, None) in self.calls else "encoder."
                self.calls.setdefault((where, kind, None), (args, out, module))
                return
            place = layer
            if kind in ("tokens", "places"):
                place = None
            elif self.type == "albert":  # one module serves several layers
                place = sum(other == kind for _, other, _ in self.calls)
            out = (out[0] if isinstance(out, (tuple, list)) else out).clone()  # Falcon and XLM go on to add to it in place
            given = args[0] if args else next(iter(kwargs.values()))
            given = given.clone() if isinstance(given, torch.Tensor) else given  # a shape, where positions are asked for
            self.calls.setdefault((stack, kind, place), ((given, *args[1:]), out, module))
        return keep

    def rows(self, tensor):
        """(T,n) of what a module reads or gives, which may have a batch axis before or behind T."""
        if self.type == "xlnet" and tensor.dim() == 3 and tensor.shape[1] == 1:
            return tensor[:, 0]
        return tensor.reshape(-1, tensor.shape[-1])

    def found(self, recorder, known):
        sites, attentions = {}, list(recorder.attentions)
        body = getattr(self.model, "transformer", self.model)
        stacks = ["encoder.", "decoder."] if self.both else [""]
        for stack in stacks:
            get = lambda kind, layer: self.calls.get((stack, kind, layer))
            out = lambda kind, layer: self.rows(get(kind, layer)[1]) if get(kind, layer) else None
            read = lambda kind, layer: self.rows(get(kind, layer)[0][0]) if get(kind, layer) else None
            put = lambda name, value: sites.__setitem__(stack + name, value) if value is not None else None
            layers = sum(re.match(f"{stack.replace('.', '_')}attentions", key) is not None for key in known)
            table = out("tokens", None)
            if self.type in ("marian", "pegasus"):
                model = self.model.model
                table = table * getattr(model, stack.rstrip(".")).embed_scale
            if self.type == "ctrl":
                table = functional.embedding(get("tokens", None)[0][0], body.w.weight)[0] * math.sqrt(self.config.n_embd)
                put("hook_pos_embed", body.pos_encoding[: len(table)])
            put("hook_embed", table)
            put("hook_pos_embed", out("places", None))
            post = self.is_post()
            parallel = self.is_parallel()
            for layer in range(layers):
                at = lambda name, value, layer=layer: put(f"blocks.{layer}.{name}", value)
                pre = known[f"{stack.replace('.', '_')}hidden_states.{layer}"][0]
                own = attentions.pop(0)
                cross = attentions.pop(0) if stack == "decoder." else None
                at("ln1.output", out("attn norm", layer))
                self.attention(recorder, own, at, "attn", known, stack.replace(".", "_"), layer,
                               get("attn out", layer), get("rel_attn", layer))
                written = out("attn written", layer)
                attn_out = written if written is not None else out("attn out", layer)
                mid = None if parallel else read("attn norm", layer) if post else read("mlp norm", layer)
                if cross is not None:
                    at("ln_cross.output", out("cross norm", layer))
                    self.attention(recorder, cross, at, "cross_attn", known, "cross_", layer, get("cross out", layer), None)
                    at("hook_cross_attn_out", out("cross out", layer))
                    at("hook_resid_mid_cross", read("cross norm", layer) if post else read("mlp norm", layer))
                    mid = mid if post else read("cross norm", layer)
                if self.type == "olmo2":
                    mid = read("gate", layer)
                if get("attn adds", layer):
                    attn_out = out("attn adds", layer) - self.rows(get("attn adds", layer)[0][1])
                if self.type == "xlnet":
                    attn_out = mid - pre
                at("hook_attn_out", attn_out)
                at("hook_resid_mid", mid)
                up, gate = out("up", layer), out("gate", layer)
                if get("gate up", layer):
                    gate, up = out("gate up", layer).chunk(2, dim=-1)
                mlp_norm = out("mlp norm", layer)
                if parallel and mlp_norm is None:
                    mlp_norm = read("up", layer) if get("up", layer) else read("gate", layer)
                at("ln2.output", mlp_norm)
                mlp_out = out("mlp written", layer)
                mlp_out = mlp_out if mlp_out is not None else out("down", layer)
                if get("mlp adds", layer):
                    mlp_out = out("mlp adds", layer) - self.rows(get("mlp adds", layer)[0][1])
                if get("experts", layer):
                    gate, up = self.experts(get("experts", layer))
                    mlp_out = out("experts", layer)
                at("mlp.hook_pre", up)
                at("mlp.gate", gate)
                at("hook_mlp_out", mlp_out)
                if f"{stack.replace('.', '_')}mlp_act.{layer}" not in known:  # Bloom, where it calls no module after them
                    at("mlp.hook_post", out("neurons", layer))
                at("hook_resid_post", read("mlp norm", layer) if post else out("block", layer))
        return sites

    def is_post(self):
        if self.type == "opt":
            return not self.config.do_layer_norm_before
        return self.type in ("openai-gpt", "bert", "roberta", "camembert", "xlm-roberta", "distilbert", "mpnet", "albert", "electra",
                             "xlm", "xlnet", "deberta", "deberta-v2", "bart", "marian")

    def is_parallel(self):
        config = self.config
        return (self.type in ("gptj", "phi") or self.type in ("gpt_neox", "stablelm") and config.use_parallel_residual
                or self.type == "falcon" and (config.parallel_attn or config.new_decoder_architecture))

    def attention(self, recorder, own, at, part, known, prefix, layer, output, rel_attn):
        scores = (self.of_gpt1 if self.type == "openai-gpt" else Recorder.seen)(recorder, own["input"])
        rotary = self.type in ROTARY or self.type == "falcon" and not self.config.alibi
        query, key, value = (known[f"{prefix}{letter}.{layer}"][0] for letter in "qkv")
        if rotary:
            turned, keys = recorder.product(own["input"])
            at("attn.hook_rot_q", turned[0])
            at("attn.hook_rot_k", keys[0][:: keys.shape[1] // key.shape[0]])
        scores = scores[0]
        scale = self.scale_of_bias(query.shape[-1])
        if scale and part == "attn":
            keys = key.repeat_interleave(query.shape[0] // key.shape[0], dim=0)
            products = scale * query @ keys.transpose(-1, -2)
            bias = scores - products
            if self.type in ("bloom", "falcon"):
                # Python counts ALiBi from the first token, which adds the same number to a whole row and so changes no
                # probability; ours is the distance.
                bias = bias - bias.diagonal(dim1=1, dim2=2)[:, :, None]
            if self.type == "xlnet" and self.config.attn_type == "uni":
                # Python has no vectors for keys after the query, and shifts those of other distances there: no numbers.
                bias = bias.masked_fill(torch.ones_like(bias, dtype=torch.bool).triu(1), math.nan)
            scores = products + bias
            at("attn.position_bias", bias)
        at(f"{part}.scores", scores)
        mix = own["mix"]
        mix = mix[:, 0].transpose(0, 1) if self.type == "xlnet" else mix.reshape(-1, *mix.shape[-2:])
        at(f"{part}.hook_z", mix)
        heads, _, width = mix.shape
        if rel_attn:
            matrix = rel_attn[2].o.permute(1, 2, 0)
        else:
            output = output[2] if output else self.model.get_submodule(self.dense_of_bloom(layer))
            matrix = output.weight if type(output).__name__ == "Conv1D" else output.weight.T
            matrix = matrix.reshape(heads, width, -1)
        at(f"{part}.hook_result", mix @ matrix)

    def dense_of_bloom(self, layer):
        return next(name for name, _ in self.model.named_modules() if name.endswith(f"h.{layer}.self_attention.dense"))

    @staticmethod
    def of_gpt1(recorder, masked):
        """GPT-1 computes scores * b - 1e4 * (1 - b)."""
        while recorder.made[id(masked)][1] not in ("mul", "__mul__"):
            masked = recorder.made[id(masked)][2][0]
        return recorder.made[id(masked)][2][0]

    def scale_of_bias(self, width):
        """What products of queries and keys are multiplied by in families where positions add to them."""
        config = self.config
        if self.type in T5S:
            return 1.0
        if self.type in ("mpnet", "bloom", "xlnet") or self.type == "falcon" and config.alibi:
            return width**-0.5
        if self.type in ("deberta", "deberta-v2") and config.relative_attention and config.pos_att_type:
            return (width * (1 + len(config.pos_att_type))) ** -0.5
        return None

    def experts(self, call):
        (x, *_), _, module = call
        x = x.reshape(-1, x.shape[-1])
        _, weights, chosen = module.gate(x)
        used = torch.zeros(x.shape[0], module.experts.num_experts, dtype=x.dtype).scatter(1, chosen, 1.0)[:, :, None]
        gate, up = torch.einsum("td,end->ten", x, module.experts.gate_up_proj).chunk(2, dim=-1)
        gate, up = (gate * used).flatten(1), (up * used).flatten(1)
        if hasattr(module, "shared_expert"):
            shared = module.shared_expert
            gate, up = torch.cat([gate, shared.gate_proj(x)], dim=-1), torch.cat([up, shared.up_proj(x)], dim=-1)
        return gate, up
