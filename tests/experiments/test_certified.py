from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from keshi.censoring.certified import certify

ROOT = Path(__file__).parents[2]


@pytest.fixture
def experiment(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "experiments")
    return importlib.import_module("certified")


def test_one_window_more_than_stated_makes_the_bound_vacuous(experiment: ModuleType) -> None:
    shares = np.ones(10)
    for level in (0.5, 1.0, 2.0):
        count = experiment.windows_until(level, 16, shares)
        bounds = [
            certify(noise=level, dimension=16, shares=shares, windows=n).accuracy
            for n in (max(count, 1), count + 1)
        ]
        assert bounds[1] > experiment.USELESS
        assert count == 0 or bounds[0] <= experiment.USELESS


def test_the_kept_results_hold_their_bounds_and_give_the_table_of_the_document(
    experiment: ModuleType,
) -> None:
    lines = (ROOT / "benchmarks" / "results" / "certified.jsonl").read_text().splitlines()
    results = [json.loads(line) for line in lines]
    for line in results:
        for release, figure in (("window", "accuracy"), ("trial", "trial_accuracy")):
            if release in line:
                # an attacker above what is proven would be an error of the proof or of the measurement
                assert max(one[figure] for one in line["attackers"].values()) <= line[release]["accuracy"]
    document = (ROOT / "docs" / "explanation" / "censoring.md").read_text()
    for row in experiment.table(results):
        assert row in document
