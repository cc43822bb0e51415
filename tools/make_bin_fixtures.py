"""Writes tests/fixtures/bin: files of `torch.save` and what they hold.

    python tools/make_bin_fixtures.py tests/fixtures/bin

tensors.bin, tensors.safetensors  views, shared storages and several types, and the same as plain tensors
legacy.bin                        those of tensors.bin in the format before PyTorch 1.6
hostile.bin                       a pickle that would run a program when Python reads it
"""

import collections
import os
import pathlib
import sys

import torch
from safetensors.torch import save_file

OUT = pathlib.Path(sys.argv[1])
OUT.mkdir(parents=True, exist_ok=True)

torch.manual_seed(1)
base = torch.randn(6, 4)
state = collections.OrderedDict(
    plain=base,
    shared=base[2:4],
    transposed=base.T,
    every_second=base[::2, 1:3],
    half=torch.randn(3).half(),
    brain=torch.randn(2, 2).bfloat16(),
    double=torch.randn(2).double(),
    scalar=torch.tensor(2.5),
    parameter=torch.nn.Parameter(torch.randn(3)),
    empty=torch.zeros(0, 3),
)
save_file({name: tensor.detach().float().contiguous().clone() for name, tensor in state.items()}, OUT / "tensors.safetensors")
state["count"] = torch.tensor([1, 2])
state["note"] = "not a tensor"
state._metadata = collections.OrderedDict(version=1)
torch.save(state, OUT / "tensors.bin")
torch.save(state, OUT / "legacy.bin", _use_new_zipfile_serialization=False)


class Hostile:
    def __reduce__(self):
        return os.system, ("touch /tmp/flowlens-was-here",)


torch.save({"a": torch.ones(2), "b": Hostile()}, OUT / "hostile.bin")
