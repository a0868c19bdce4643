"""The experiment on the number of people, from its command line to table and figure, on made-up recordings."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import numpy as np
import pytest

from keshi.auditing import identification

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(EXPERIMENTS)
    return importlib.import_module("why_pairs")


def test_the_quick_experiment_runs_goes_on_and_writes_table_and_figure(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identification, "SHORTEST_EPOCH", 1)
    monkeypatch.setattr(sys, "argv", ["why_pairs.py", "--quick", "--seeds", "0", "-o", str(tmp_path)])
    script.main()
    results = tmp_path / "quick.jsonl"
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    assert [(one["world"], one["people"], one["method"]) for one in lines] == [
        *(("simulated", 3, method) for method in ("control", "afl-dnn", "sct", "hsic", "judges")),
        *(("strength", 100, method) for method in ("control", "afl-dnn", "sct", "hsic")),
    ]
    assert all(np.isfinite(value) for one in lines for value in one.values() if isinstance(value, float))
    before = results.read_bytes()
    script.main()
    assert results.read_bytes() == before  # all is there: nothing is trained again
    assert "| simulated | 3 | sct |" in (tmp_path / "table.md").read_text()
    ElementTree.fromstring((tmp_path / "why_pairs.svg").read_text())


def test_worlds_have_as_many_windows_for_any_number_of_people_and_hold_out_the_end_of_recordings(
    script: ModuleType,
) -> None:
    worlds = importlib.import_module("pair_worlds")
    base = worlds.read_base(None)
    for world in (
        worlds.real_world(base, 4, rows=(400, 80), seed=0),
        worlds.simulated_world(base, 20, rows=(400, 80), seed=0),
        worlds.simulated_world(base, 20, rows=(400, 80), seed=0, measured=True),
    ):
        assert (len(world.train), len(world.test)) == (400, 80)
        assert set(world.test.trial) <= set(world.train.trial)
        for trial in np.unique(world.test.trial):
            last = world.train.start[world.train.trial == trial].max() + world.train.length
            assert last <= world.test.start[world.test.trial == trial].min()
    others, theirs = world.strangers
    assert not set(others.subject) & set(world.train.subject)
    assert len(set(theirs)) == len(set(others.subject)) == 6
