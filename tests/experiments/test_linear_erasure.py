from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def experiment(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "experiments")
    return importlib.import_module("linear_erasure")


def features(people: int = 4, *, n: int = 2_000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Correlated features (n, 6) with the person in them, one column a copy of another, and the person (n, people)."""
    rng = np.random.default_rng(seed)
    person = np.eye(people)[rng.integers(people, size=n)]
    z = rng.normal(size=(n, 5)) @ rng.normal(size=(5, 5)) + person @ rng.normal(size=(people, 5))
    return np.hstack([z, z[:, :1]]), person


def explained(z: np.ndarray, concept: np.ndarray) -> float:
    """Largest R2 of a linear model of a column of the concept."""
    design = np.hstack([z, np.ones((len(z), 1))])
    residual = concept - design @ np.linalg.lstsq(design, concept, rcond=1e-5)[0]
    return float((1 - residual.var(axis=0) / concept.var(axis=0)).max())


def test_after_erasure_no_linear_model_tells_the_concept_and_little_has_changed(
    experiment: ModuleType,
) -> None:
    z, person = features()
    erased = experiment.least_squares_eraser(z, person)(z)
    assert explained(z, person) > 0.05
    assert explained(erased, person) < 1e-6
    # the plain projection erases as well, but is not the smallest change
    told = np.linalg.svd((z - z.mean(axis=0)).T @ person, full_matrices=False)[0][:, :3]
    projected = z - (z - z.mean(axis=0)) @ told @ told.T
    assert explained(projected, person) < 1e-6
    assert ((erased - z) ** 2).sum() < 0.95 * ((projected - z) ** 2).sum()


def test_given_the_label_the_concept_is_what_the_label_does_not_tell(experiment: ModuleType) -> None:
    rng = np.random.default_rng(0)
    label, subject = rng.integers(3, size=500), rng.integers(4, size=500)

    class Rows:
        pass

    rows = Rows()
    rows.label, rows.subject = label, subject  # type: ignore[attr-defined]
    concept = experiment.concept_of("person given the label", rows)
    assert concept.shape == (500, 12)
    for one in range(3):
        assert np.abs(concept[label == one].mean(axis=0)).max() < 1e-9
    assert np.linalg.matrix_rank(concept) == 3 * (4 - 1)


def test_the_kept_results_give_the_table_of_the_document(experiment: ModuleType) -> None:
    lines = (ROOT / "benchmarks" / "results" / "linear_erasure.jsonl").read_text().splitlines()
    document = (ROOT / "docs" / "explanation" / "censoring.md").read_text()
    for row in experiment.table([json.loads(line) for line in lines]):
        assert row in document
