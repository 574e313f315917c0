# Every target works in a fresh clone with Python 3.11, make and a package registry.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: install demo test test-azure check format docs catalogues pictures sample chaos fuzz bench-ack bench-curation bench-privacy bench-store bench-training bench-endpoint bench-topics bench-replies bench-gpu bench-watching container-steps lock clean

# The seed of the slow runs: make chaos SEED=7
SEED ?= 1

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train,azure,tensorboard,postgres,offline,accelerators,test]'
	touch $@

demo: install
	$(BIN)/errata demo

test: install
	$(BIN)/python -m pytest -n 2 --dist worksteal

# The Azure tests alone, their uploads kept by a real Azurite (Node 20 or newer; npm fetches it once).
test-azure: install
	ERRATA_TEST_AZURITE=1 $(BIN)/python -m pytest -n 2 --dist worksteal -k 'azur or foundry or backends_alike or managed or openai or rented'

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/check-jsonschema --schemafile tests/contract/slack_manifest.schema.json app-manifest.yaml

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: install
	$(BIN)/python tests/reference_pages.py

# The sentences to translate, gathered from the code; translations that stand are kept.
catalogues: install
	$(BIN)/python tests/catalogues.py

# The pictures of the workspace in the browser, from an actual run; wants chromium, chromium-driver and fonts-noto-color-emoji.
pictures: install
	$(BIN)/python tests/browser/pictures.py docs/images

# The sample dataset that a test makes again, byte for byte.
sample: install
	$(BIN)/python tests/sample_dataset.py

# Slow runs; a small seeded slice of each is part of make test.
chaos: install
	$(BIN)/python tests/chaos/siege.py --seed $(SEED)

fuzz: install
	$(BIN)/python tests/chaos/fuzz.py --payloads 10000 --seed $(SEED)

bench-ack: install
	$(BIN)/python tests/benchmarks/ack.py

bench-curation: install
	$(BIN)/python tests/benchmarks/curation.py --seed $(SEED)

bench-privacy: install
	$(BIN)/python tests/benchmarks/privacy.py

# Our training core beside transformers' Trainer and TRL, on the processor: about half an hour on a quiet machine.
bench-training: install
	$(BIN)/python tests/benchmarks/training.py

# The endpoint beside `transformers serve`.
bench-endpoint: install
	$(BIN)/python tests/benchmarks/endpoint.py

# Topics named by a classifier, beside TF-IDF and logistic regression: make bench-topics DATA=dialogues.jsonl
bench-topics: install
	$(BIN)/python tests/benchmarks/topics.py $(DATA)

# A rehearsal beside counting and beside shuffled replies: make bench-replies DATA=dialogues.jsonl
bench-replies: install
	$(BIN)/python tests/benchmarks/shuffled.py $(DATA)

# The same on a CUDA GPU, with a model of 3.8 billion random weights; says so where there is no GPU.
bench-gpu: install
	$(BIN)/python tests/benchmarks/gpu.py

# A hundred runs in Azure watched by one worker, against the sandbox: about eight minutes, on a quiet machine.
bench-watching: install
	$(BIN)/python tests/benchmarks/watching.py

bench-store: install
	$(BIN)/python tests/benchmarks/store.py

# The container's own steps on this machine, without a container engine.
container-steps: install
	$(BIN)/python tests/container_steps.py

# What the container installs, with hashes; the headers say the same command.
COMPILE := $(BIN)/pip-compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
	--no-annotate --no-header --strip-extras --allow-unsafe -c constraints.txt

lock: install
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'pip-tools>=7.6,<8'
	$(COMPILE) --extra postgres --extra azure -o requirements/base.lock pyproject.toml
	(echo '# Every package of the image without torch, with its hashes; make lock writes it.'; cat requirements/base.lock) > requirements/base.txt
	echo 'setuptools>=77' | $(COMPILE) -o requirements/build.lock -
	(echo '# What builds the wheel, with its hashes; make lock writes it.'; cat requirements/build.lock) > requirements/build.txt
	rm requirements/base.lock requirements/build.lock

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache
