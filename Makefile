# make demo    train the lecture's CNN on MNIST and write out/
# make test    everything that CI runs
# make data    fetch MNIST into the cache (the tests that need it skip without it)
# make pretrained   fetch SqueezeNet's ImageNet weights and six photographs, and say what it sees in them
# make mutants corrupt every gradient rule, see that the tests notice, and write docs/mutants.md
# make bench   the benchmarks, against PyTorch; writes benchmarks/results.md
# make clean   remove what these commands made
#
# PYTHON=python3.13 chooses the interpreter (3.11 or newer), VENV=dir where the virtual environment lies.

PYTHON ?= python3
VENV   ?= .venv
JOBS   ?= 2

BIN     := $(VENV)/bin
THREADS := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 NUMBA_NUM_THREADS=1

.DELETE_ON_ERROR:
.PHONY: demo test mutants data pretrained bench clean

demo: $(VENV)/.has-fast $(VENV)/.has-vision $(VENV)/.has-draw
	$(BIN)/python examples/mnist.py cnn --out out

test: $(VENV)/.has-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(THREADS) $(BIN)/python -m pytest -n $(JOBS)

mutants: $(VENV)/.has-test
	$(THREADS) $(BIN)/python -m tests.mutants

data: $(VENV)/.has-vision
	$(BIN)/python -m vision.datasets mnist

pretrained: $(VENV)/.has-vision
	$(BIN)/python -m vision.pretrained

bench: $(VENV)/.has-bench
	$(BIN)/python -m benchmarks.vs_torch
	$(BIN)/python -m benchmarks.layers
	$(BIN)/python -m benchmarks.engine

clean:
	rm -rf $(VENV) out build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find autograd nn vision tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# One stamp for each extra: a second call installs nothing, a changed pyproject.toml installs again.
$(VENV)/.has-%: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[$*]'
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is older than Python 3.11; choose another: make PYTHON=python3.13 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
