import json
import os
import subprocess
import sys
from pathlib import Path

import capped_process
import data_sets
import methods
import numpy as np
import pandas as pd
import pytest
import summary
import tables
from scipy import stats

from keshi.auditing.cells import bin_edges
from keshi.errors import RecordsError
from keshi.records.column_kinds import Categorical, Numerical
from keshi.records.domain import Domain
from keshi.synthesis.presets import PRESETS

BENCHMARKS = Path(tables.__file__).parent


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    work = tmp_path_factory.mktemp("work")
    command = [sys.executable, str(BENCHMARKS / "tables.py"), "--quick", "--work", str(work)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (work / "quick.jsonl").read_text().splitlines()]
    return done.stdout, {line["method"]: line for line in lines}


def test_quick_measures_the_yardsticks_and_every_preset(quick):
    report, lines = quick
    assert set(lines) == {"real", "independent columns", "DP independent columns"} | {
        f"keshi {n}" for n in PRESETS
    }
    for name, line in lines.items():
        assert line["status"] == "done", line
        assert 0 <= line["measures"]["two_way"] <= 1
        assert f"| {name} | 1 |" in report


def test_independent_columns_keep_every_margin_and_lose_the_pairs(quick):
    _, lines = quick
    measures = lines["independent columns"]["measures"]
    assert measures["one_way"] == measures["one_way_quantile"] == 0
    assert lines["real"]["measures"]["roc_auc"] > measures["roc_auc"] + 0.1
    assert lines["real"]["measures"]["correlation"] < 0.5 * measures["correlation"]


def test_dp_independent_columns_lie_near_the_margins_at_epsilon_1(quick):
    # 4 histograms of 1,946 rows, noise 2 * 3.73 a cell: about 0.03; without noise below 0.02, with tenfold noise 0.2
    _, lines = quick
    assert 0.005 < lines["DP independent columns"]["measures"]["one_way"] < 0.08


def test_a_process_that_uses_too_much_time_is_stopped(tmp_path):
    found = capped_process.run_capped(
        [sys.executable, "-c", "while True: pass"], cpu_seconds=0.5, memory_mb=1e5, log=tmp_path / "log"
    )
    assert found.stopped == "time-out"
    assert 0.4 < found.cpu_seconds < 5


def test_time_of_child_processes_counts_too(tmp_path):
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'while True: pass'])"
    found = capped_process.run_capped(
        [sys.executable, "-c", code], cpu_seconds=0.5, memory_mb=1e5, log=tmp_path / "log"
    )
    assert found.stopped == "time-out"


def test_a_process_that_takes_too_much_memory_is_stopped(tmp_path):
    code = "import time; block = bytes([1]) * 300_000_000; time.sleep(20)"
    found = capped_process.run_capped(
        [sys.executable, "-c", code], cpu_seconds=20, memory_mb=150, log=tmp_path / "log"
    )
    assert found.stopped == "memory"
    assert found.peak_mb > 150


@pytest.mark.parametrize(
    ("code", "status", "reason"),
    [
        ("raise KeyError('no such column')", "failed", "KeyError: 'no such column'"),
        ("from job import Refused; raise Refused('32 columns at most')", "refused", "32 columns at most"),
        ("pass", "failed", "exit 0: nothing"),
        (
            "import json, sys; job = json.load(open(sys.argv[1])); open(job['output'], 'w').write('age\\n30\\n')",
            "failed",
            "not of the domain",
        ),
    ],
)
def test_a_method_that_makes_no_table_is_recorded_with_its_reason(
    tmp_path, monkeypatch, code, status, reason
):
    (tmp_path / "runner.py").write_text(code)
    (tmp_path / "job.py").write_text((BENCHMARKS / "peers" / "job.py").read_text())
    monkeypatch.setattr(methods, "PEERS", tmp_path)
    found = methods.run_method(
        methods.Method("broken", "runner.py", "any"),
        data_sets.load_split("quick", None),
        epsilon=1.0,
        delta=1e-5,
        seed=0,
        work=tmp_path,
        cpu_seconds=60,
        memory_mb=4000,
        start_ups=0,
    )
    assert (found.status, found.table) == (status, None)
    assert reason in found.reason


def test_a_table_comes_back_from_csv_as_it_was(tmp_path):
    split = data_sets.load_split("quick", None)
    data_sets.write_csv(split.train, split.domain, tmp_path / "t.csv")
    pd.testing.assert_frame_equal(
        data_sets.read_csv(tmp_path / "t.csv", split.domain), split.train.reset_index(drop=True)
    )


def test_conform_cuts_numbers_rounds_whole_ones_and_refuses_unlisted_categories():
    domain = Domain({"n": Numerical(0, 10, integer=True), "c": Categorical(("1", "2"))})
    table = data_sets.conform(pd.DataFrame({"n": [-3, 4.4, 99], "c": [1, 2.0, "1"]}), domain)
    assert table["n"].tolist() == [0, 4, 10]
    assert table["c"].tolist() == ["1", "2", "1"]
    with pytest.raises(RecordsError, match="'c' holds"):
        data_sets.conform(pd.DataFrame({"n": [1], "c": [3]}), domain)


def test_the_split_by_hash_never_changes_and_holds_back_a_fifth():
    _, test = data_sets.hash_split("kdd99", pd.DataFrame({"row": range(10_000)}))
    assert test["row"].head(3).tolist() == [0, 3, 6]  # fixed for ever: figures of different days are compared
    assert abs(len(test) - 2_000) < 6 * np.sqrt(10_000 * 0.2 * 0.8)


def test_intervals_are_students_t():
    values = [0.1, 0.2, 0.4]
    half = stats.t.interval(0.95, 2, loc=0, scale=np.std(values, ddof=1) / np.sqrt(3))[1]
    assert summary.interval(values) == f"{np.mean(values):.4f} ± {half:.4f}"


def test_a_time_out_is_shown_as_such_and_not_as_a_figure():
    line = {
        "data": "d",
        "method": "m",
        "epsilon": 1.0,
        "seed": 0,
        "status": "time-out",
        "reason": "stopped at the cap",
    }
    report = summary.markdown([line])
    assert "| m | time-out | -" in report
    assert "- m, seed 0: time-out: stopped at the cap" in report


def test_a_finished_cell_is_not_run_again(tmp_path):
    file = tmp_path / "results.jsonl"
    cell = {"data": "adult", "method": "real", "epsilon": None, "seed": 0}
    file.write_text(
        json.dumps(cell | {"status": "failed"}) + "\n" + json.dumps(cell | {"status": "done"}) + "\n"
    )
    assert tables.finished(file)["adult", "real", None, 0]["status"] == "done"


@pytest.mark.skipif("KESHI_DATA" not in os.environ, reason="needs the data folder")
@pytest.mark.parametrize("name", list(data_sets.DATA_SETS))
def test_every_data_set_fits_its_public_domain(name):
    split = data_sets.load_split(name, Path(os.environ["KESHI_DATA"]))
    assert list(split.train) == list(split.test) == list(split.domain.columns)
    assert 0.15 < len(split.test) / (len(split.train) + len(split.test)) < 0.35
    for column, kind in split.domain.columns.items():
        if isinstance(kind, Numerical):
            values = split.train[column].dropna().to_numpy()
            edges = bin_edges(values, bins=20, quantiles=False, bounds=(kind.lower, kind.upper))
            assert (edges[0], edges[-1]) == (kind.lower, kind.upper)
            assert kind.missing or len(values) == len(split.train)


def test_every_method_has_its_runner_and_every_peer_a_pinned_environment():
    for method in methods.all_methods().values():
        assert (methods.PEERS / method.runner).exists(), method.name
        if method.environment is not None:
            lines = (methods.PEERS / f"{method.environment}.txt").read_text().splitlines()
            pins = [line for line in lines if not line.startswith("#")]
            assert pins
            assert all(pin.count("==") == 1 for pin in pins), method.name
