# Two commands on a fresh machine with Python 3.11 or newer:  make demo   make test
#
# PyTorch: its CPU build (about 200 MB) is fetched from PyTorch's own index. On a machine with an NVIDIA GPU,
#   make demo TORCH_INDEX=https://pypi.org/simple
# takes the CUDA build instead (several GB).

PYTHON ?= python3
VENV ?= .venv
TORCH ?= torch==2.13.0
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
JOBS ?= 2

ENV := $(VENV)/.ready
RUN := OMP_NUM_THREADS=1 $(VENV)/bin

.PHONY: env demo test check format clean

env: $(ENV)

# torch first, and from that index alone: a package that pulled it in by itself would take the CUDA build.
# Bytecode on all cores at the end: pip would make it on one, and that of the packages' own tests, too. A file that is
# no Python of this version (some packages have one) is left out, as by pip.
$(ENV): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "keshi needs Python 3.11 or newer; set one with: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "making $(VENV): about 0.5 GB of packages, PyTorch from $(TORCH_INDEX)"
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install -q --no-compile --no-deps --index-url $(TORCH_INDEX) $(TORCH)
	$(VENV)/bin/python -m pip install -q --no-compile -c constraints.txt -e '.[demo,test,check]'
	@$(VENV)/bin/python -m compileall -qq -j 0 -x 'site-packages/.*/tests/' $(VENV)/lib || true
	@touch $@

demo: $(ENV)
	$(VENV)/bin/keshi demo -o demo

# worksteal: a worker keeps a contiguous part, so that fixtures of a module or a session are rarely made twice, and
# whoever ends first takes half of what is left to the other.
test: $(ENV)
	$(RUN)/python -m pytest -n $(JOBS) --dist worksteal

check: $(ENV)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

format: $(ENV)
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

clean:
	rm -rf $(VENV) demo .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
