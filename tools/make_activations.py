#!/usr/bin/env python3
"""Writes tests/fixtures/activations.json: what every activation of `transformers` that has no parameters gives."""
import json
import os

import torch
from transformers.activations import ACT2CLS, ACT2FN

x = torch.cat([torch.linspace(-12, 12, 25), torch.tensor([-0.3, -1e-3, 0.05, 0.7071, 2.999])])
values = {name: ACT2FN[name](x).tolist() for name in ACT2CLS if name not in ("prelu", "xielu")}
path = os.path.join(os.path.dirname(__file__), "..", "tests", "fixtures", "activations.json")
with open(path, "w") as f:
    json.dump({"x": x.tolist(), "values": values}, f)
    f.write("\n")
