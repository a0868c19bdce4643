"""A report looks at records drawn fairly, whatever the size of the file and its batches, and reads them as declared."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from keshi.cli.some_records import some_records
from keshi.cli.synthesize import audit_sections
from keshi.records.column_kinds import Numerical, Timestamp
from keshi.records.domain import Domain

DOMAIN = Domain({"place": Numerical(0, 10_000, integer=True)})


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "many.parquet"
    pd.DataFrame({"place": np.arange(5_000), "left out": 1}).to_parquet(path)
    return path


def test_a_small_table_is_taken_whole_in_its_order(file):
    table, total = some_records(file, DOMAIN, seed=0, most=5_000)
    assert total == 5_000
    assert table["place"].tolist() == list(range(5_000))
    assert list(table.columns) == ["place"]


def test_of_a_large_one_as_many_as_asked_for_each_as_likely_as_any_other(file):
    drawn = np.zeros(5_000)
    for seed in range(40):
        table, total = some_records(file, DOMAIN, seed=seed, most=500)  # ten batches, four cuts
        assert (len(table), total) == (500, 5_000)
        assert table["place"].is_monotonic_increasing
        assert table["place"].is_unique
        drawn[table["place"].to_numpy(dtype=int)] += 1
    by_batch = drawn.reshape(10, 500).sum(
        axis=1
    )  # 2,000 expected, hypergeometric: standard deviation below 43
    assert np.abs(by_batch - 2_000).max() < 5.5 * 43  # ten of them: a false alarm below 1e-6


def test_a_file_without_records_gives_its_columns(tmp_path):
    pd.DataFrame({"place": pd.Series(dtype=int)}).to_csv(tmp_path / "none.csv", index=False)
    table, total = some_records(tmp_path / "none.csv", DOMAIN, seed=0, most=10)
    assert (len(table), total) == (0, 0)
    assert list(table.columns) == ["place"]


def test_dates_of_a_csv_are_compared_as_the_moments_that_the_release_has(tmp_path):
    domain = Domain(
        {
            "day": Timestamp("2020-01-01", "2020-01-10", resolution="day", missing=True),
            "at": Timestamp("2020-01-01T00Z", "2020-01-10T00Z"),
        }
    )
    days = pd.to_datetime("2020-01-01") + pd.to_timedelta(np.arange(200) % 9, unit="D")
    written = {"day": days.strftime("%Y-%m-%dT23:59"), "at": days.strftime("%Y-%m-%dT02:00+02:00")}
    pd.DataFrame(written).replace({"day": {"2020-01-02T23:59": ""}}).to_csv(tmp_path / "r.csv", index=False)
    real, _ = some_records(tmp_path / "r.csv", domain, seed=0, most=1_000)
    release = pd.DataFrame({"day": days, "at": days.tz_localize("UTC")}).replace(
        {"day": {pd.Timestamp("2020-01-02"): None}}
    )
    generator = SimpleNamespace(
        learning_curve=[SimpleNamespace(step=1, loss=0.0, noise_floor=0.0, effective_size=1.0)],
        preset="keshi",
        statement=SimpleNamespace(epsilon=1.0, delta=1e-5, unit="adding or removing one record"),
    )
    audit, _ = audit_sections(release, real, real, domain, generator, cost={}, seed=0)
    for found in (audit.fidelity, audit.holdout):
        assert np.abs(found.quantile.pairs).max() < 1e-9
        assert np.abs(found.equal_width.pairs).max() < 1e-9
