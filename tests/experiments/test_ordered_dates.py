from __future__ import annotations

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_stays_of_days_within_ten_years_come_back_as_days(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "experiments")
    experiment = importlib.import_module("ordered_dates")
    measured = experiment.run("stays", 20_000, difference=True, epsilon=1.0, seed=0)
    # Measured by itself, the later date makes of 6 days more than 400.
    assert 0.5 < measured["mean days, synthetic"] / measured["mean days"] < 2
    assert measured["days, TVD"] < 0.03
