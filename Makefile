# The set-up in short commands. Each says what it does, repeats nothing that is done already, and needs no network the second time.
PYTHON ?= python3
SETUP := $(PYTHON) tools/setup
NOTEBOOK := .venv/bin/python tools/run_notebooks.py
BENCH_PYTHON ?= python3
# Seconds for each target of make fuzz and where its chances begin; the cases of each in make test, the same every time.
TIME ?= 60
SEED ?= $(shell date +%s)
FUZZ_CASES := 3000
PROMPT := The capital of Japan is the city of

.PHONY: help build demo page lesson test test-large real-models bench fuzz deny lab notebooks kernel kernel-program engine doctor gallery libtorch python venv browser clean distclean

help:
	@echo 'make build      libtorch and target/release/flowlens'
	@echo 'make demo       the above, plus a small model, its flow graph and attention views in out/, and an executed notebook'
	@echo 'make lab        JupyterLab with the Rust kernel ready'
	@echo 'make test       all tests; make test-large also fetches MPNet (400 MB) and tests its values'
	@echo 'make bench      measurements against Python; BENCH_PYTHON=/environment/bin/python with torch, transformers and gguf;'
	@echo '                with bertviz and playwright too, attention views against BertViz'
	@echo 'make fuzz       hostile files and texts for every reader, TIME=60 seconds each; make deny checks what we depend on'
	@echo 'make kernel     the Jupyter kernel; run it again after a change to rustc or src/'
	@echo 'make doctor     says what the kernel lacks, and the command that mends it'
	@echo 'make notebooks  executes the notebooks in place; make gallery draws the gallery'
	@echo 'make clean      removes what was built; make distclean also what was fetched'
	@echo 'CUDA=1 takes the full torch; LIBTORCH=/folder or LIBTORCH_USE_PYTORCH=1 takes one that you have.'

python:
	@$(SETUP)/venv.py --bare

venv: python
	@$(SETUP)/venv.py

libtorch: python
	@$(SETUP)/libtorch.py $(if $(CUDA),--cuda)

build: libtorch
	@test -e target/release/flowlens || echo 'building target/release/flowlens (usually 6 minutes on two cores, once)'
	cargo build --release --locked

# STOCK=1: also stock evcxr_jupyter as a kernel, which the lessons are tested on as well.
kernel: libtorch venv
	@$(SETUP)/kernel.py $(if $(STOCK),--evcxr)

kernel-program:
	@$(SETUP)/kernel.py --program

# The command of kernel/src/install/engine.rs, which then finds it done: it takes the core that the kernel's program leaves.
engine: page
	@cargo rustc --release --locked --quiet --lib --crate-type dylib -- -Cprefer-dynamic \
		-Clink-arg=-Wl,--version-script=$(CURDIR)/kernel/src/install/exports.map

# The kernel's program needs no libtorch and compiles while that is fetched; it steps back for what the page waits for.
demo:
	@test -d .venv || echo 'make demo: usually a page to look at after 8 minutes on two cores, and everything after 17'
	@$(MAKE) --no-print-directory -j4 page venv kernel-program engine
	@$(MAKE) --no-print-directory lesson
	@echo
	@echo 'The flow graph of "$(PROMPT)":  out/flow_graph.html'
	@echo 'Its attention:                  out/head_view.html, out/model_view.html, out/neuron_view.html'
	@echo 'The lesson, executed:           out/flow_graph.ipynb  (make lab opens it)'

page: build
	@mkdir -p out
	@test -e out/flow_graph.html || echo 'fetching the model smollm2-135m (145 MB, usually under a minute)'
	target/release/flowlens flow-graph --model smollm2-135m --line '$(PROMPT)' --layers 20-29 --html out/flow_graph.html
	@echo 'make demo: look at out/flow_graph.html; the rest goes on'
	for view in head model neuron; do \
		target/release/flowlens $$view-view --model smollm2-135m --text '$(PROMPT)' --layer 16 --head 0 --html out/$${view}_view.html || exit; \
	done

doctor:
	@program=.venv/share/jupyter/kernels/rust/flowlens-kernel; \
	test -x $$program || { echo 'the kernel is not installed: make kernel'; exit 1; }; $$program doctor

lesson: kernel
	$(NOTEBOOK) --out out notebooks/flow_graph.ipynb

# Trusted: JupyterLab shows the scripts of their outputs without executing them anew.
lab: kernel
	@.venv/bin/python -m nbformat.sign notebooks/*.ipynb >/dev/null || true
	.venv/bin/python -m jupyterlab notebooks/flow_graph.ipynb

notebooks: kernel
	$(NOTEBOOK) --in-place --jobs 2 notebooks/*.ipynb

browser: venv
	@$(SETUP)/venv.py --tests
	@$(SETUP)/browser.py

# Trained models that tests know values of.
real-models: venv
	@$(SETUP)/real_models.py $(if $(LARGE),--large)

# The browser looks at pages that the Rust tests leave in target/.
test: STOCK = 1
test: kernel browser real-models
	cargo test --locked
	cargo test --locked --test real_weights --test course -- --ignored --skip mpnet
	cargo test --locked --release --manifest-path kernel/Cargo.toml --target-dir target/kernel --features stock
	.venv/bin/python tools/offline.py $(NOTEBOOK) --out target/notebooks --compare --jobs 2 notebooks/*.ipynb
	$(NOTEBOOK) --out target/notebooks/evcxr --kernel rust-evcxr notebooks/walk.ipynb
	.venv/bin/python tools/run_originals.py
	.venv/bin/python tools/check_scripts.py
	.venv/bin/python tools/run_checks.py
	.venv/bin/python tools/check_dependencies.py
	.venv/bin/python tools/fuzz.py --runs $(FUZZ_CASES)

# fuzz/README.md says how to read what it says.
fuzz: libtorch
	@.venv/bin/python tools/fuzz.py --time $(TIME) --seed $(SEED)

# Licences, sources and known faults of the crates that we depend on, by deny.toml.
deny: venv
	@$(SETUP)/venv.py --tests
	@.venv/bin/python tools/check_dependencies.py $(if $(ALL),--all)

# Fetches 400 MB more.
test-large: libtorch
	@$(MAKE) real-models LARGE=1
	cargo test --locked --test real_weights -- --ignored

bench: build
	target/release/flowlens info --model smollm2-135m > /dev/null
	$(BENCH_PYTHON) benches/run.py --out out/bench.md
	$(BENCH_PYTHON) benches/attention_views.py --out out/attention_views.md

# Draws docs/gallery.md and its pictures anew.
gallery: libtorch
	cargo run --release --locked --example gallery

clean:
	cargo clean
	rm -rf out

distclean: clean
	rm -rf .venv .libtorch .libtorch.part
