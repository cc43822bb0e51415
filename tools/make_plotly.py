#!/usr/bin/env python3
"""Makes the plotly.js that figures carry, `src/figure/assets/plotly/`: the kinds of chart that `plotly/entry.cjs` names, a
third of the whole.

    tools/make_plotly.py

Needs Node, npm and the network; versions are those of `plotly/package-lock.json`. The same versions give the same bytes.
"""

import gzip
import shutil
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).parent / "plotly"
OUT = HERE.parents[1] / "src" / "figure" / "assets" / "plotly"


def bundle(folder):
    for name in [".npmrc", "entry.cjs", "package.json", "package-lock.json"]:
        shutil.copy(HERE / name, folder)
    subprocess.run(["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=folder, check=True)
    made = folder / "plotly.js"
    subprocess.run(
        ["npx", "esbuild", "entry.cjs", "--bundle", "--minify", "--format=cjs", "--target=es2022", "--define:global=window",
         "--legal-comments=eof", "--log-level=warning", f"--outfile={made}"], cwd=folder, check=True)
    whole = (folder / "node_modules" / "plotly.js" / "dist" / "plotly.min.js").read_text()
    notice = whole[: whole.index("*/") + 2]
    return f"{notice}\n{made.read_text()}", (folder / "node_modules" / "plotly.js" / "LICENSE").read_text()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        code, licence = bundle(Path(name))
    OUT.mkdir(exist_ok=True)
    packed = gzip.compress(code.encode(), 9, mtime=0)
    (OUT / "plotly.js.gz").write_bytes(packed)
    (OUT / "LICENSE").write_text(licence)
    print(f"plotly.js: {len(code)} bytes, packed {len(packed)}")
