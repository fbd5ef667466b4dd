# `make demo` and `make test` do everything on a fresh machine; both set up .venv first.
PYTHON ?= python3
BIN := .venv/bin
DATA := $(or $(CHIASM_SHARED_DATA),$(wildcard ../shared/data))

.PHONY: demo test slow lint examples bench clean

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[test]"
	touch $@

# chiasm-tiny on pictures it has never seen, drawn and, where there are some, real; one page with what came out.
demo: .venv/installed
	$(BIN)/chiasm examine chiasm-tiny scenes:test --limit 150 --out runs/demo/scenes
	@if [ -d "$(DATA)/coco-mini" ]; then \
	  $(BIN)/chiasm examine chiasm-tiny "coco:$(DATA)/coco-mini?split=val2017" --limit 40 --out runs/demo/photos; \
	fi
	$(BIN)/chiasm report $$(ls -d runs/demo/scenes runs/demo/photos 2>/dev/null) --out runs/demo/report.html --title "chiasm-tiny, examined"

test: .venv/installed
	$(BIN)/pytest

slow: .venv/installed
	$(BIN)/pytest -m slow

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

examples: .venv/installed
	PATH="$(CURDIR)/$(BIN):$$PATH" bash docs/examples.sh

bench: .venv/installed
	for script in bench/*.py; do $(BIN)/python $$script || exit 1; done

clean:
	rm -rf .venv runs
