# make lab           set everything up and open JupyterLab on the first notebook
# make test          set everything up and run every test and every notebook
# make filled        run every notebook with its blanks filled, and compare
# make test-browser  look at every notebook, each of its controls, and the site in a real browser
# make docs          make the site of notebooks and documents, in build/site
# make notebooks     run the notebooks' scripts and store them as notebooks with their outputs
# make clean         remove what the others installed

PYTHON ?= python3
VERSIONS ?= known-good.txt
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
AS_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)

.PHONY: lab test filled test-browser docs notebooks clean

lab: $(READY)
	$(BIN)/jupyter lab --LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb $(AS_ROOT) $(LAB_OPTIONS)

test: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pytest
	$(BIN)/pytest --nbval notebooks/

test-browser: docs
	$(BIN)/python -c "import playwright" 2>/dev/null || \
		$(BIN)/python -m pip install --constraint $(VERSIONS) --editable ".[browser]"
	$(BIN)/pytest tests/browser

docs: $(READY)
	$(BIN)/python -c "import furo, latex2mathml, myst_nb" 2>/dev/null || \
		$(BIN)/python -m pip install --constraint $(VERSIONS) --editable ".[docs]"
	rm -rf build/site
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --conf-dir docs/site . build/site
	@echo "The site is build/site/index.html"

notebooks: $(READY)
	$(BIN)/python notebooks/rebuild.py $(NAMES)

filled: $(READY)
	$(BIN)/python notebooks/filled.py $(NAMES)

clean:
	rm -rf $(VENV) *.egg-info build

$(READY): pyproject.toml $(VERSIONS)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "Python 3.10 or newer is needed; name one: make PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV) || \
		{ echo "On Debian and Ubuntu: apt install python3-venv"; rm -rf $(VENV); exit 1; }
	$(BIN)/python -m pip install --constraint $(VERSIONS) --editable ".[test]"
	touch $@
