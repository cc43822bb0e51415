#!/usr/bin/env python3
"""Turns VISIT's dumps into graphs for the tests of the figures: figure_fixtures.py DUMP.json OUT.json

Kinds come from the hover texts, columns from the longest way to a node, colours become CSS.
"""
import json
import re
import sys

KINDS = [
    (r"\d+\) (block_input|block_output|residual_after_attn):", "Resid"),
    (r"\d+\) (attn_input|mlp_input|block_input_after_LN):", "Normed"),
    (r"q,k,v", "Qkv"),
    (r"\d+\) concated_heads", "Concat"),
    (r"\d+\) attn_output:", "AttnOut"),
    (r"\d+\) mlp_output:", "MlpOut"),
    (r"head \d+:<br", "Query"),
    (r"\d+\) head \d+: output", "Head"),
    (r"\d+\) head \d+: key", "Key"),
    (r"\d+\) head \d+: value", "Value"),
    (r"\d+\) value index", "OutputRow"),
    (r"\d+\) key\d+", "NeuronKey"),
    (r"\d+\) value\d+", "NeuronValue"),
    (r"\d+\) c_(fc|proj)_bias", "Bias"),
]


def css(color):
    parts = re.fullmatch(r"rgba\((.*)\)", color)
    if not parts:
        return color
    r, g, b, a = (float(part) for part in parts[1].split(","))
    if max(r, g, b) <= 1:
        r, g, b = (round(255 * part) for part in (r, g, b))
    return "#%02x%02x%02x" % (int(r), int(g), int(b)) if a == 1 else f"rgba({int(r)}, {int(g)}, {int(b)}, {a})"


def columns(graph):
    column = [0] * len(graph["nodes"])
    for _ in column:
        moved = False
        for link in graph["links"]:
            if link["weight"] == 0.05 or column[link["target"]] > column[link["source"]]:
                continue
            column[link["target"]] = column[link["source"]] + 1
            moved = True
        if not moved:
            break
    # Second biases stand with the other things that write.
    for link in graph["links"]:
        if graph["nodes"][link["source"]]["hover"].split(": ")[0].endswith("c_proj_bias"):
            column[link["source"]] = column[link["target"]] - 1
    return column


def link_kind(nodes, link):
    source, target = nodes[link["source"]]["kind"], nodes[link["target"]]["kind"]
    if link["weight"] == 0.05:
        return "Invisible"
    if source == "Resid" and target == "Resid":
        return "Residual"
    if link["color"] == "darkviolet":
        return "Norm"
    if "Bias" in (source, target):
        return "Bias"
    return {"blue": "Promote", "red": "Suppress"}.get(link["color"], "Score" if "score:" in link["hover"] else "Add")


def main(dump, out):
    data = json.load(open(dump))
    meta, graphs = data["meta"], []
    for graph in data["graphs"]:
        layer, nodes = graph["layers"][0], []
        for node, column in zip(graph["nodes"], columns(graph)):
            kind = next(kind for pattern, kind in KINDS if re.match(pattern, node["hover"]))
            numbered = re.match(r"(\d+)\)", node["hover"])
            layer = int(numbered[1]) if numbered else layer
            nodes.append({"kind": kind, "layer": layer, "column": column, "label": node["label"],
                          "color": css(node["color"]), "hover": node["hover"].split("<br />")})
        links = [{"source": link["source"], "target": link["target"], "kind": link_kind(nodes, link),
                  "weight": round(link["weight"], 4), "color": css(link["color"]), "hover": link["hover"]}
                 for link in graph["links"]]
        graphs.append({"layers": graph["layers"], "nodes": nodes, "links": links})
    text = {"model": meta["model"], "line": meta["line"], "target": meta["target"], "graphs": graphs}
    json.dump(text, open(out, "w"), ensure_ascii=False, separators=(",", ":"))


if __name__ == "__main__":
    main(*sys.argv[1:])
