"""BertViz's notebooks: head, model and neuron view, and encoder-decoders."""

from .bertviz_views import HEAD, MODEL, NEURON, look_for, run_pair, run_text
from .notebook import Original, code, figure, md

RABBIT = ("the rabbit quickly hopped", "The turtle slowly crawled")
CAT = ("The cat sat on the mat", "The cat lay on the rug")
FOX = "The quick brown fox jumps over the lazy dogs."
GERMAN = "Do you speak German? Ja, ich spreche Deutsch."

ENCODER = "Any encoder will do that reads {what}, and nothing else needs a change."
DECODER = "Any encoder or decoder will do, and nothing else needs a change."
SEQ2SEQ_MODEL = "Any encoder-decoder will do, and nothing else needs a change but the texts, where it has other languages."


def others(run):
    """Which models the cells of a single run work with."""
    return ENCODER.format(what="pairs") if "run((" in run else DECODER


# What a reader should know of each model before looking: how it reads, and what its tokens look like.
BERT = """BERT reads in both directions: every token sees every other. Its tokens are whole words in lower case and, where a word is rare, pieces that go on with `##`.
`[CLS]` stands before the text, `[SEP]` behind each sentence, and a *type* tells the two sentences apart."""
GPT2 = """GPT-2 reads from left to right: a token sees itself and what came before, never what comes. Its tokens are pieces of bytes that carry their blank in front (`␣`), and nothing is put around the text."""
XLNET = """XLNet is trained to guess words in any order, so that it may look both ways; positions enter as distances between query and key. Its tokens come from SentencePiece, and it puts its special tokens
`<sep>` and `<cls>` *behind* the text, not before it."""
ROBERTA = """RoBERTa is a BERT, trained longer and on more: every token sees every other. Its tokens are GPT-2's, pieces of bytes with their blank in front (`␣`). A pair stands as `<s>` A `</s></s>` B `</s>`, and no type tells the sentences apart."""
XLM = """XLM reads both ways, and this one was trained on English and German at once, as one vocabulary: everything is in lower case and without accents, and the same token may belong to both languages. `<s>` stands before the text, `</s>` behind it.
The original gives it no language, and so do we."""
ALBERT = """ALBERT is a BERT that has **one** set of weights for all of its twelve layers: the same block is applied again and again. Its tokens come from SentencePiece in lower case, with `[CLS]` and `[SEP]` around them and a type for each sentence."""
DISTILBERT = """DistilBERT is half a BERT: six layers, begun with every other one of BERT's and trained to answer as BERT does. It reads both ways, has BERT's tokens, and no types of sentences."""


def head(key, model, name, about, run, looking, measures, differs=""):
    return Original(f"head_view_{key}", "BertViz", (f"head_view_{key}.ipynb",), model, f"The head view of {name}", (
        md(about),
        md("The text of the original, and its tokens."),
        code(run),
        md(f"## Where each head looks\n\n{HEAD.hands_on.strip()}\n\n{looking.strip()}"),
        figure("trace.head_view()"),
        md(f"## Which heads?\n\n{measures[0].strip()}"),
        look_for(*measures[1:]),
        md(f"## How ours differs\n\n{HEAD.differs.strip()}\n{differs.strip()}".strip()),
    ), others(run))


def model(key, model, name, about, run, looking, second, differs=""):
    return Original(f"model_view_{key}", "BertViz", (f"model_view_{key}.ipynb",), model, f"The model view of {name}", (
        md(about),
        md("The text of the original, and its tokens."),
        code(run),
        md(f"## Every head of every layer\n\n{MODEL.hands_on.strip()}\n\n{looking.strip()}"),
        figure("trace.model_view()"),
        md(second[0]),
        figure(second[1]),
        md(f"## How ours differs\n\n{MODEL.differs.strip()}\n{differs.strip()}".strip()),
    ), others(run))


def neuron(key, model, name, about, run, looking, place, differs):
    return Original(f"neuron_view_{key}", "BertViz", (f"neuron_view_{key}.ipynb",), model, f"The neuron view of {name}", (
        md(about),
        md("The text and its tokens."),
        code(run),
        md(f"## From vectors to a weight\n\n{NEURON.hands_on.strip()}\n\n{looking.strip()}"),
        figure(f"trace.neuron_view(){place}"),
        md("## Weight is not effect\n\nA large weight on a short value moves little. The same layers with each weight multiplied by the length of what it writes:"),
        figure("trace.attention()?.norm_weighted()?.head_view()"),
        md(f"## How ours differs\n\n{NEURON.differs.strip()}\n{differs.strip()}"),
    ), others(run))


def encoder_decoder(key, model, name, about, source, target, demos, looking, differs):
    return Original(f"encoder_decoder_{key}", "BertViz", demos, model, f"{name}: encoder, decoder and what passes between", (
        md(about),
        md("The texts of the original. The encoder reads the source; the decoder is given the target as if it had written it, with the model's start token in front."),
        code(f'let trace = model.run(Seq2Seq {{\n    source: "{source}",\n    target: "{target}",\n}})?;\ntrace'),
        md(f"## The head view\n\n{HEAD.hands_on.strip()} The chooser *Attention* has three entries: the encoder's own attention, the decoder's own, and *Cross*, from the decoder (left) to the encoder (right).\n\n{looking.strip()}"),
        figure('trace.head_view().block("cross")'),
        md(f"## The model view\n\n{MODEL.hands_on.strip()} Rows of squares are layers; the same chooser is above them."),
        figure('trace.model_view().block("cross")'),
        md(f"## How ours differs\n\n{differs.strip()}\n{HEAD.differs.strip()}"),
    ), SEQ2SEQ_MODEL)


NO_OUTPUT = "* With today's `transformers` the demo's recipe (the last element of the model's outputs) gives an empty tuple for this model, and nothing is drawn. Here nothing depends on the order of outputs."
UNRENORMALISED = "* With a pair, the chooser *Attention* shows sentence to sentence, as there. Both show the plain weights of the whole row, so that the rows of a part do not sum to 1; the caption says so here, and `.renormalised()?` divides by the sum."

HEADS = (
    head("bert", "google-bert/bert-base-uncased", "BERT", BERT, run_pair(*RABBIT),
         """Choose *A → B*: are there heads that pair `rabbit` with `turtle`, `hopped` with `crawled`? Choose *All* again and go through the layers: how much goes to `[SEP]`? [Clark et al. 2019](https://arxiv.org/abs/1906.04341) found more than half of
         BERT's attention there in layers 6 to 10, and take it for a way of doing nothing.""",
         ("Heads by what they do: the most attention on the next token, on the previous one, and on `[SEP]`. `trace.head_view().layer(..).head(..)` opens one.", "Next", "Previous", "Separator"),
         f"{UNRENORMALISED}\n{NO_OUTPUT}"),
    head("gpt2", "openai-community/gpt2", "GPT-2", GPT2, run_text(FOX),
         """Lines never lead downwards: nothing below is seen yet. Look at the first token: how many heads rest on it, whatever it is ([attention sinks](https://arxiv.org/abs/2309.17453)), and from which layer on? And look for heads whose lines all go one step up: they bring each token its predecessor.""",
         ("The heads that rest most on the first token, and those that look one step back:", "First", "Previous", "Itself"), NO_OUTPUT),
    head("xlnet", "xlnet/xlnet-base-cased", "XLNet", XLNET, run_text(FOX),
         """Lines lead both ways. The two tokens at the end of the list are `<sep>` and `<cls>`: are there heads that send everything there, from all positions? A place at the end is as good for that as one at the beginning. Are there others that look at a fixed distance, whatever the words are? XLNet's vectors of distances allow it.""",
         ("The heads with most attention on special tokens, and those that look next door:", "Separator", "Previous", "Next"),
         "* Of XLNet's two streams this is the content stream, in both."),
    head("roberta", "FacebookAI/roberta-base", "RoBERTa", ROBERTA, run_pair(*CAT),
         """Two sentences that differ in two words: `sat`/`lay` and `mat`/`rug`. Choose *A → B* and look for heads that find the same word in the other sentence, and for what `sat` finds. How much goes to `<s>` and to the `</s>` between the sentences?""",
         ("The heads that look at the same token elsewhere, and those that rest on special tokens:", "SameToken", "Separator", "First"),
         f"* The original's demo gives the view no place where the second sentence begins, since RoBERTa has no types to read it from, and so cannot choose between sentences. Here the tokenizer says where it begins.\n{NO_OUTPUT}"),
    head("xlm", "FacebookAI/xlm-mlm-ende-1024", "XLM", XLM, run_text(GERMAN),
         """A question in English, the answer in German. Does `speak` look at `spreche`, `german` at `deutsch`, `you` at `ich`? And are there heads that stay on their side of the question mark?""",
         ("Heads that look far, and heads that look next door:", "Distance", "Previous", "Next")),
    head("albert", "albert/albert-base-v2", "ALBERT", ALBERT, run_pair(*RABBIT),
         """Step through the layers and keep one head in view: its weights are the same matrices everywhere, and only the vectors that they meet have changed. Do its lines settle? Choose *A → B* for what the sentences have to say to each other.""",
         ("The same head in different layers is the same matrices. Do the lists below name one head again and again?", "Separator", "Next", "Itself"),
         UNRENORMALISED),
    head("distilbert", "distilbert/distilbert-base-uncased", "DistilBERT", DISTILBERT, run_text(CAT[0]),
         """Six layers in place of twelve: are BERT's kinds of heads still there, those for the next and the previous token and those that rest on `[SEP]`? The notebook [head_view_bert](head_view_bert.ipynb) has the same search for BERT.""",
         ("The same search as for BERT:", "Next", "Previous", "Separator")),
)

WITHOUT_SPECIAL = ("## Without the special tokens\n\nThe original has a switch (`hide_delimiter_attn`) that sets the rows and columns of `[CLS]` and `[SEP]` to 0. Here they are left out, and what remains of a row can be divided by its sum, so that the faint rest is seen at full strength:",
                   "trace.attention()?.without_special()?.renormalised()?.model_view()")

MODELS = (
    model("bert", "google-bert/bert-base-uncased", "BERT", BERT, run_pair(*CAT),
          """A bright column is one token that many look at (is it `[SEP]`?), a line beside the diagonal a head for the next or previous token; the thin lines inside a square mark where the second sentence begins. Look for squares with marks in the two corners off the diagonal: there one sentence looks at the other, and the sentences share most of their words.""",
          WITHOUT_SPECIAL, NO_OUTPUT),
    model("gpt2", "openai-community/gpt2", "GPT-2", GPT2, run_text(FOX),
          """Nothing is above the diagonal. A bright first column is a head that rests on the first token: count how many there are below the first few layers. A line one step below the diagonal is a head for the previous token.""",
          ("## What is moved\n\nA weight on a token whose values are short looks like much and moves little. Is the first token such a one? Each weight times the length of what it writes:",
           "trace.attention()?.norm_weighted()?.model_view()"), NO_OUTPUT),
    model("xlnet", "xlnet/xlnet-base-cased", "XLNet", XLNET, run_text(FOX),
          """The whole square is filled, in both directions. The last two columns are `<sep>` and `<cls>`. A stripe along the diagonal is a head that goes by distance: order the squares by *previous* or *distance* to bring them to the front.""",
          ("## Without the special tokens\n\nWhat heads do with the words alone, each row divided by its sum:", WITHOUT_SPECIAL[1])),
    model("roberta", "FacebookAI/roberta-base", "RoBERTa", ROBERTA, run_pair(*CAT),
          """The thin lines inside a square mark where the second sentence begins. Short diagonals in the corners off the main one: a head that finds the same word in the other sentence.""",
          (WITHOUT_SPECIAL[0].replace("The original has a switch (`hide_delimiter_attn`) that sets the rows and columns of `[CLS]` and `[SEP]` to 0. Here they are left out", "`<s>` and `</s>` can draw most of the attention. Here they are left out"), WITHOUT_SPECIAL[1]),
          f"* The original's demo cannot mark the second sentence of a RoBERTa, since there are no types to read it from. Here the tokenizer says where it begins.\n{NO_OUTPUT}"),
    model("xlm", "FacebookAI/xlm-mlm-ende-1024", "XLM", XLM, run_text(GERMAN),
          """English left and above, German right and below: a head that looks across languages has its weight in the corners off the diagonal. """,
          ("## Without the special tokens\n\nThe words alone, each row divided by its sum:", WITHOUT_SPECIAL[1])),
    model("albert", "albert/albert-base-v2", "ALBERT", ALBERT, run_pair(*CAT),
          """Read a *column* from top to bottom: it is one and the same head, applied twelve times. How much of its pattern belongs to the head, and how much to what the stream holds at that depth?""",
          WITHOUT_SPECIAL),
    model("distilbert", "distilbert/distilbert-base-uncased", "DistilBERT", DISTILBERT, run_text(FOX.rstrip(".")),
          """Six rows: every kind of head that BERT has in twelve, or fewer? Order by *next*, *previous* and *separator* in turn.""",
          ("## All layers together\n\nThe rollout ([Abnar and Zuidema 2020](https://arxiv.org/abs/2005.00928)): the mean of each layer's heads, multiplied through the layers. How much of each input token would reach each position, if attention and the residual connection were all?",
           "trace.attention()?.rollout(true)?.model_view()")),
)

NEURONS = (
    neuron("bert", "google-bert/bert-base-uncased", "BERT", BERT, run_pair(*CAT),
           """It opens on head 0 of layer 2, as the original does. Choose `cat` in the list of tokens and order the 64 elements of query and key by what they contribute: do a few decide? Then look at `[SEP]`: where it draws the weight, is its *key* long, or does it point where the queries point?""",
           ".layer(2).head(0)", "* The special tokens are this model's own; BertViz writes BERT's for every encoder."),
    neuron("gpt2", "openai-community/gpt2", "GPT-2", GPT2, run_text("At the store, she bought apples, oranges, bananas,"),
           """A list: what does the last comma look at, the other commas, the fruit, or the first token? Go through the heads of the middle layers. In heads that rest on the first token, look at which elements of the key do it: are they the same for every query?""",
           ".layer(0).head(0)", "* GPT-2's mask is drawn here as what it is: keys that come later are not there. BertViz knows this for GPT-2 alone."),
    neuron("roberta", "FacebookAI/roberta-base", "RoBERTa", ROBERTA, run_pair(*CAT),
           """Point at `␣cat` of the second sentence: does the first `␣cat` have the larger product, and in which elements? The original's own text for RoBERTa was not to be found; this is the pair of its head view.""",
           ".layer(0).head(0)", "* The special tokens are `<s>` and `</s>`, as the model has them; BertViz writes `[CLS]` and `[SEP]` here."),
)

START = "* **The decoder's first token.** The original gives the decoder the tokens of the target as the tokenizer makes them. The model never saw that in training: its decoder begins with a start token ({start}), and every position is one further on. Ours puts it there and leaves out the end token, as in training, so that the row of a token shows where the model looked when it *had read* that token and was about to write the next."

SEQ2SEQ = (
    encoder_decoder("bart", "facebook/bart-large-cnn", "BART",
                    "BART large, trained to summarise news: an encoder that reads both ways and a decoder that writes from left to right, 12 layers of 16 heads each. Its tokens are GPT-2's, with `<s>` and `</s>` around the text.",
                    "The House Budget Committee voted Saturday to pass a $3.5 trillion spending bill", "The House Budget Committee passed a spending bill.",
                    ("head_view_bart.ipynb", "model_view_bart.ipynb"),
                    "The summary leaves out `voted Saturday to` and `$3.5 trillion`. Find a head in which each word of the summary looks at the same word of the source: it copies. Where does `␣passed` look, which the source has as `to pass`?",
                    START.format(start="`</s>`, before `<s>`")),
    encoder_decoder("marian", "Helsinki-NLP/opus-mt-en-de", "Marian",
                    "Marian translates from English to German, 6 + 6 layers of 8 heads. Its tokens come from SentencePiece, `</s>` stands at the end, and nothing at the beginning but the decoder's start token.",
                    "She sees the small elephant.", "Sie sieht den kleinen Elefanten.",
                    ("head_view_encoder_decoder.ipynb", "model_view_encoder_decoder.ipynb"),
                    "Both languages have the words in the same order here, so a head that aligns them draws a diagonal. Mind the step: the row of `Sie` is where the model is about to write `sieht`. How many heads rest on the full stop and on `</s>`?",
                    f"{START.format(start='`<pad>`')}\n* **The German tokens.** The original cuts the German sentence with the *English* half of Marian's tokenizer, which is what `tokenizer(text)` means there; the German half is asked for with `text_target`. The pieces are then not those that the decoder was trained on."),
)

ORIGINALS = HEADS + MODELS + NEURONS + SEQ2SEQ
