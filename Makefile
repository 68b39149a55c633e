# What a contributor types; CONTRIBUTING.md says more.
.PHONY: test slow lint docs
CHAIRS = SampleChairs/chair/train

test:
	python -m pytest

slow:
	python -m pytest -m slow

lint:
	ruff check .
	ruff format --check .

# docs/options.md and the pictures that need no training and no download
docs:
	python -m benchmarks.draw.options docs/options.md
	python -m benchmarks.draw.network docs/img/network.png
	python -m benchmarks.studies.recipes -o docs/img/recipes.png
	python -m benchmarks.studies.pieces --seeds 1 -o docs/img/pieces.png
	python -m benchmarks.studies.rates --seeds 1 -o docs/img/rates.png
	python download_data.py --dataset sample
	python convert_data.py -m SampleChairs/chair --center
	python -m benchmarks.draw.sheet $(CHAIRS)/chair_000[1-9].raw $(CHAIRS)/chair_0010.raw -o docs/img/sample_chairs.png
	python -m rasgan.generate --pretrained chairs --no-obj
	cp savepoint/pretrained-chairs/generated/24/seed0.png docs/img/pretrained.png
