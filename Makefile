# `make demo` and `make test` do everything on a fresh machine; both set up .venv first.
PYTHON ?= python3
BIN := .venv/bin
DATA := $(or $(CHIASM_SHARED_DATA),../shared/data)

.PHONY: demo test slow lint examples bench clean

.venv/base: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	touch $@

.venv/test: .venv/base
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[test]"
	touch $@

# chiasm-tiny on pictures it has never seen, drawn and, where there are some, real; one page with what came out.
demo: .venv/base
	$(BIN)/chiasm examine chiasm-tiny scenes:test --limit 150 --out runs/demo/scenes
	if [ -d "$(DATA)/coco-mini" ]; then \
	  $(BIN)/chiasm examine chiasm-tiny "coco:$(DATA)/coco-mini?split=val2017" --limit 40 --out runs/demo/photos; \
	fi
	$(BIN)/chiasm report runs/demo/scenes $$(ls -d runs/demo/photos 2>/dev/null) --out runs/demo/report.html --title "chiasm-tiny, examined"

test: .venv/test
	$(BIN)/pytest

slow: .venv/test
	$(BIN)/pytest -m slow

lint: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

examples: .venv/test
	$(BIN)/python .ci/examples.py

bench: .venv/test
	for name in decode shared_prefix train_step linear attention world score probe extraction adapter report; do $(BIN)/python bench/$$name.py || exit 1; done

clean:
	rm -rf .venv runs
