"""The models of the originals on the Hub, and what they need."""

from dataclasses import dataclass

# What a notebook takes besides its model's weights: kernel, cells, compiler, what a run keeps, and JupyterLab. The README
# of the notebooks says how it was measured.
AROUND_GB = 1.1
# Binder ends a session at 2 GB; a tenth is left free.
BINDER_GB = 1.8


@dataclass(frozen=True)
class Model:
    """A model's id, and the numbers from which its sizes are computed."""

    id: str
    name: str
    # Parameters, each counted once, of the model with its head.
    parameters: int
    # Bytes of a number in the file that is fetched.
    stored: int = 4
    # Branch of the repository.
    revision: str = "main"
    # Numbers in the file beside those parameters: a head that is stored though it is tied.
    repeated: int = 0
    # What stands in the way of loading it by its id, in a sentence of its own.
    hurdle: str = ""
    # A smaller model of the same kind, for a laptop or Binder.
    smaller: str = ""

    @property
    def download(self):
        return (self.parameters + self.repeated) * self.stored / 1e9

    @property
    def weights(self):
        """In memory: runs on the CPU compute in float32."""
        return self.parameters * 4 / 1e9

    @property
    def memory(self):
        return self.weights + AROUND_GB

    @property
    def fits_binder(self):
        return self.memory <= BINDER_GB


def gb(number):
    """A size as a person says it: two digits, or whole gigabytes."""
    if number >= 9.95:
        return f"{number:.0f} GB"
    return f"{number:.1f} GB" if number >= 0.995 else f"{round(number * 1000, -1 if number >= 0.1 else 0):.0f} MB"


MODELS = {model.id: model for model in [
    Model("openai-community/gpt2", "GPT-2", 124_439_808),
    Model("openai-community/gpt2-medium", "GPT-2 medium", 354_823_168),
    Model("openai-community/gpt2-xl", "GPT-2 XL", 1_557_611_200, smaller="openai-community/gpt2-medium"),
    Model("EleutherAI/gpt-j-6b", "GPT-J", 6_050_882_784, stored=2, revision="float16"),
    Model("EleutherAI/gpt-neo-1.3B", "GPT-Neo", 1_315_575_808),
    Model("meta-llama/Llama-2-7b-chat-hf", "Llama 2 7B chat", 6_738_415_616, stored=2, smaller="smollm2-135m",
          hurdle="It is gated: accept its terms on its page on the Hub and log in (`hf auth login`, or `HF_TOKEN`) before the first run."),
    Model("google-bert/bert-base-uncased", "BERT base", 109_514_298),
    Model("xlnet/xlnet-base-cased", "XLNet base", 116_750_336),
    Model("FacebookAI/roberta-base", "RoBERTa base", 124_697_433),
    Model("FacebookAI/xlm-mlm-ende-1024", "XLM English-German", 142_422_203,
          hurdle="**Its text may need a step in Python first:** where its repository has no `tokenizer.json`, only XLM's own `vocab.json` and `merges.txt`, Flowlens cannot cut the text into tokens and says so. The [README](README.md#models-without-a-tokenizerjson) has the few lines."),
    Model("albert/albert-base-v2", "ALBERT base", 11_221_680),
    Model("distilbert/distilbert-base-uncased", "DistilBERT", 66_985_530),
    Model("facebook/bart-large-cnn", "BART large CNN", 406_290_432, smaller="facebook/bart-base"),
    Model("Helsinki-NLP/opus-mt-en-de", "Marian English-German", 74_410_496,
          hurdle="**Its text needs a step in Python first:** the repository has no `tokenizer.json`, only SentencePiece models (`source.spm`, `target.spm`), which Flowlens does not read. The [README](README.md#models-without-a-tokenizerjson) has the few lines."),
    Model("google/flan-t5-xl", "Flan-T5 XL", 2_849_757_184, smaller="google/flan-t5-small"),
    Model("google-t5/t5-base", "T5 base", 222_903_552, smaller="google-t5/t5-small"),
    Model("google/flan-t5-base", "Flan-T5 base", 247_577_856, smaller="google/flan-t5-small"),
    Model("tiiuae/falcon-7b", "Falcon 7B", 6_921_720_704, stored=2, repeated=65_024 * 4_544, smaller="tiiuae/falcon-rw-1b"),
]}
