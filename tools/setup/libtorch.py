#!/usr/bin/env python3
"""Fills `.libtorch`, the folder that cargo builds against and the programs load from.

In this order: a libtorch of yours (LIBTORCH), the torch of your Python (LIBTORCH_USE_PYTORCH=1), else the CPU part of
PyPI's torch wheel: the wheel is 530 MB to fetch, what is kept of it 450 MB. With --cuda the whole of torch goes into
`.venv` (about 5 GB). A folder that fits is left as it is.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from common import LIBTORCH, PYTHON, ROOT, fail, pip, remove, replace, run, say
from versions import CUDA_RUNTIME, CUPTI, TORCH

PART = ROOT / ".libtorch.part"
# Of the wheels: the headers, and the libraries that the CPU half needs.
KEPT = {
    "libtorch_cpu.so": "torch",
    "libc10.so": "torch",
    "libgomp.so.1": "torch",
    "libcudart.so.13": "nvidia",
    "libcupti.so.13": "nvidia",
}


def version_of(folder):
    try:
        return (folder / "build-version").read_text().strip()
    except OSError:
        return None


def fits(version):
    return version is not None and version.split("+")[0] == TORCH


def complete(folder, cuda):
    wanted = ["include/torch", "lib/libtorch_cpu.so", "lib/libtorch.so", "lib/libc10.so"]
    wanted += ["lib/libtorch_cuda.so"] if cuda else []
    return fits(version_of(folder)) and all((folder / name).exists() for name in wanted)


def same_file(a, b):
    return a.exists() and b.exists() and a.samefile(b)


def from_own_folder(folder, cuda):
    """LIBTORCH names a folder that is there already: link to it, so that what is built finds it when it runs."""
    if not fits(version_of(folder)):
        fail(f"LIBTORCH={folder} holds libtorch {version_of(folder) or 'of unknown version (no build-version file)'}; "
             f"{TORCH} is needed. `unset LIBTORCH` and run make again to have the right one fetched.")
    if not complete(folder, cuda):
        fail(f"LIBTORCH={folder} has no {'lib/libtorch_cuda.so' if complete(folder, False) else 'include/torch and lib/libtorch_cpu.so'}. "
             "`unset LIBTORCH` and run make again to have it fetched.")
    if same_file(LIBTORCH / "lib/libtorch_cpu.so", folder / "lib/libtorch_cpu.so"):
        return
    say(f"using libtorch {version_of(folder)} from LIBTORCH={folder}")
    remove(PART)
    PART.mkdir()
    for name in ["include", "lib", "build-version"]:
        (PART / name).symlink_to((folder / name).resolve())
    replace(PART, LIBTORCH)


def from_python(python, cuda):
    """The torch of a Python: its libraries and NVIDIA's lie in many folders and are linked into one."""
    ask = "import torch; print(torch.__file__); print(torch.__version__); print(torch._C._GLIBCXX_USE_CXX11_ABI)"
    answer = subprocess.run([python, "-c", ask], capture_output=True, text=True)
    if answer.returncode:
        fail(f"LIBTORCH_USE_PYTORCH is set, but `{python} -c 'import torch'` fails: {answer.stderr.strip().splitlines()[-1]}")
    where, version, _ = answer.stdout.split()
    if not fits(version):
        fail(f"the torch of {python} is {version}; {TORCH} is needed. `unset LIBTORCH_USE_PYTORCH` to have the right one fetched.")
    torch = Path(where).parent
    if same_file(LIBTORCH / "lib/libtorch_cpu.so", torch / "lib/libtorch_cpu.so") and complete(LIBTORCH, cuda):
        return
    say(f"using torch {version} of {python}")
    remove(PART)
    (PART / "lib").mkdir(parents=True)
    (PART / "include").symlink_to(relative(torch / "include", PART))
    libraries = list((torch / "lib").glob("*.so*")) + list(torch.parent.glob("nvidia/*/lib/*.so*"))
    for library in libraries:
        (PART / "lib" / library.name).symlink_to(relative(library, PART / "lib"))
    add_gomp_name(PART / "lib")
    (PART / "build-version").write_text(version + "\n")
    if not complete(PART, cuda):
        fail(f"the torch in {torch} has no {'CUDA' if complete(PART, False) else 'libtorch_cpu.so'}")
    replace(PART, LIBTORCH)


def relative(target, folder):
    """Inside the project a link is relative, so that the project can be moved."""
    return os.path.relpath(target, folder) if target.is_relative_to(ROOT) else target


def add_gomp_name(lib):
    """torch-sys links `-lgomp`; wheels carry the library under its versioned name only."""
    versioned = sorted(lib.glob("libgomp*.so*"))
    if versioned and not (lib / "libgomp.so").exists():
        (lib / "libgomp.so").symlink_to(versioned[0].name)


def from_registry():
    say(f"fetching libtorch {TORCH} (530 MB, usually one to two minutes; what is kept of it is 450 MB)")
    remove(PART)
    (PART / "lib").mkdir(parents=True)
    with tempfile.TemporaryDirectory(dir=PART) as wheels:
        run(*pip(), "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:",
            "--dest", wheels, f"torch=={TORCH}", f"nvidia-cuda-runtime=={CUDA_RUNTIME}", f"nvidia-cuda-cupti=={CUPTI}")
        say("unpacking the part that the CPU needs")
        for wheel in Path(wheels).glob("*.whl"):
            unpack(wheel)
    missing = [name for name in KEPT if not (PART / "lib" / name).exists()]
    if missing:
        fail(f"the fetched wheels hold no {', '.join(missing)}: only Linux on x86_64 is supported here. "
             f"With a libtorch {TORCH} of your own: LIBTORCH=/its/folder make ..")
    add_gomp_name(PART / "lib")
    # torch-sys asks for `-ltorch`: in PyTorch's own library of that name the CUDA half would hang on.
    (PART / "lib" / "libtorch.so").write_text("INPUT(-ltorch_cpu)\n")
    (PART / "build-version").write_text(TORCH + "\n")
    replace(PART, LIBTORCH)


def unpack(wheel):
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            base = name.rsplit("/", 1)[-1]
            if name.endswith("/"):
                continue
            if name.startswith("torch/include/"):
                target = PART / name.removeprefix("torch/")
            elif base in KEPT and name.startswith(KEPT[base] + "/"):
                target = PART / "lib" / base
            else:
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(name) as source, open(target, "wb") as copy:
                shutil.copyfileobj(source, copy, 1 << 20)


def main():
    cuda = "--cuda" in sys.argv[1:]
    if os.environ.get("LIBTORCH_USE_PYTORCH"):
        from_python("python" if os.environ.get("VIRTUAL_ENV") else "python3", cuda)
    elif os.environ.get("LIBTORCH"):
        from_own_folder(Path(os.environ["LIBTORCH"]).absolute(), cuda)
    elif complete(LIBTORCH, cuda):
        return
    elif cuda:
        say(f"installing torch {TORCH} with CUDA into .venv (about 5 GB)")
        run(*pip(), "install", "--quiet", "--disable-pip-version-check", f"torch=={TORCH}")
        from_python(str(PYTHON), cuda)
    else:
        from_registry()


main()
