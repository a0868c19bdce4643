"""The experiment on images, from its command line to table, grid and page, on made-up idx files."""

from __future__ import annotations

import gzip
import importlib
import json
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


def write_idx(path: Path, array: np.ndarray) -> None:
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes()))


def test_the_quick_experiment_puts_every_method_into_table_grid_and_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(EXPERIMENTS)
    mnist = importlib.import_module("mnist")
    monkeypatch.setattr(mnist, "QUICK_STEPS", 2)
    monkeypatch.setattr(mnist, "QUICK_ROWS", 100)
    randomness = np.random.default_rng(0)
    for name, n in (("train", 300), ("t10k", 100)):
        labels = (np.arange(n) % 10).astype(np.uint8)
        images = randomness.integers(0, 60, (n, 28, 28))
        for image, label in zip(images, labels, strict=True):
            image[2 * label : 2 * label + 6] += 150  # a bar, the higher the digit the lower: easy to learn
        write_idx(tmp_path / f"{name}-images-idx3-ubyte.gz", images.astype(np.uint8))
        write_idx(tmp_path / f"{name}-labels-idx1-ubyte.gz", labels)
    files = {"results": "images.jsonl", "samples": "samples", "output": "grid.png", "page": "page.html"}
    monkeypatch.setattr(
        sys,
        "argv",
        [
            *("mnist.py", "--quick", "--methods", "real", "paper", "dp-merf", "--epsilon", "10"),
            *("--images", str(tmp_path / "train-images-idx3-ubyte.gz")),
            *("--test", str(tmp_path / "t10k-images-idx3-ubyte.gz")),
            *(text for name, file in files.items() for text in (f"--{name}", str(tmp_path / file))),
        ],
    )
    mnist.main()
    lines = [json.loads(line) for line in (tmp_path / "images.jsonl").read_text().splitlines()]
    assert [one["method"] for one in lines] == ["real", "paper", "dp-merf"]
    assert lines[0]["Frechet distance"] < lines[1]["Frechet distance"]
    assert lines[0]["accuracy"]["CNN"] > lines[1]["accuracy"]["CNN"]
    page = (tmp_path / "page.html").read_text()
    assert "paper, epsilon 10" in page
    assert "dp-merf, epsilon 10" in page
    from PIL import Image

    assert Image.open(tmp_path / "grid.png").size[0] > 2 * 28
    before = (tmp_path / "images.jsonl").read_bytes()
    mnist.main()
    assert (tmp_path / "images.jsonl").read_bytes() == before  # all is there: nothing is made again
