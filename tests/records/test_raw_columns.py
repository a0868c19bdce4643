"""Every record is read by itself: what one holds cannot change how another is counted."""

import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keshi.errors import RecordsError
from keshi.records.files import column_types
from keshi.records.raw_columns import raw_batches


def read(path, types=None):
    return list(raw_batches(path, types or column_types(path))())


def counted(batches, name):
    total = {}
    for batch in batches:
        texts = batch.texts[name]
        for value, count in zip(texts.values, texts.counts, strict=True):
            total[value] = total.get(value, 0) + int(count)
    return total


odd = st.sampled_from(
    [
        "1",
        " 2 ",
        "+3",
        "1e400",
        "x",
        "nan",
        "",
        "9" * 400,
        "9007199254740993",
        "0x1",
        "1_0",
        "-0.0",
        ".5",
        "5.",
    ]
)


@settings(max_examples=60)
@given(st.lists(odd, min_size=1, max_size=6), odd)
def test_one_more_record_changes_no_other_number(tmp_path_factory, texts, more):
    folder = tmp_path_factory.mktemp("csv")

    def numbers(cells):
        (folder / "a.csv").write_text("x,y\n" + "".join(f"{cell},1\n" for cell in cells))
        return np.concatenate(
            [b.numbers["x"] for b in read(folder / "a.csv", {"x": "number", "y": "integer"})]
        )

    assert np.array_equal(numbers([*texts, more])[:-1], numbers(texts), equal_nan=True)


def test_numbers_are_read_as_they_stand_and_the_rest_is_missing(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('x\n1\n" 2 "\n+3\n1e400\n-1e400\n5.\n.5\nx\nnan\n1e-400\n')
    (batch,) = read(path, {"x": "number"})
    expected = [1, 2, 3, np.inf, -np.inf, 5, 0.5, np.nan, np.nan, 0]
    assert np.array_equal(batch.numbers["x"], expected, equal_nan=True)


def test_moments_are_seconds_whatever_else_stands_in_the_column(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("t,u\n1970-01-02,1\n9999-12-31,1\n1970-01-01T02:00:00+02:00,1\nyesterday,1\n,1\n")
    (batch,) = read(path, {"t": "timestamp", "u": "integer"})
    late = (datetime.datetime(9999, 12, 31) - datetime.datetime(1970, 1, 1)).total_seconds()
    assert np.array_equal(batch.numbers["t"], [86_400, late, 0, np.nan, np.nan], equal_nan=True)


def test_typed_columns_of_parquet_are_read_as_they_stand(tmp_path):
    moments = pd.to_datetime(pd.Series(["1970-01-02", None]))
    table = pd.DataFrame(
        {
            "naive": moments,
            "zoned": moments.dt.tz_localize("Asia/Tokyo"),
            "day": [datetime.date(1970, 1, 2), None],
            "decimal": [Decimal("1.50"), None],
            "integer": pd.array([2**63 - 1, None], dtype="Int64"),
            "level": pd.Series(["a", None], dtype="category"),
            "list": [[1, 2], None],
        }
    )
    table.to_parquet(tmp_path / "a.parquet")
    (batch,) = read(tmp_path / "a.parquet")
    found = {name: values[0] for name, values in batch.numbers.items()}
    assert found == {"naive": 86_400, "zoned": 54_000, "day": 86_400, "decimal": 1.5, "integer": 2.0**63}
    assert all(np.isnan(values[1]) for values in batch.numbers.values())
    assert {name: (texts.values, texts.missing) for name, texts in batch.texts.items()} == {
        "level": (["a"], 1),
        "list": (["[1 2]"], 1),
    }


def test_texts_keep_their_spaces_and_leading_zeros_and_empty_is_missing(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('x,y\n a,1\na,1\n007,1\n7,1\n,1\n"",1\nNA,1\n')
    batches = read(path)
    assert counted(batches, "x") == {" a": 1, "a": 1, "007": 1, "7": 1, "": 1, "NA": 1}
    assert batches[0].texts["x"].missing == 1


def test_values_that_python_thinks_equal_are_told_apart_the_same_way_in_every_order(tmp_path, monkeypatch):
    from keshi.records import raw_columns

    for column in ([True, 1, "1", 1.0], [1, True, 1.0, "1"]):
        frame = pd.DataFrame({"x": pd.Series(column, dtype=object)})
        monkeypatch.setattr(raw_columns, "read_batches", lambda *_, frame=frame: lambda: iter([frame]))
        assert counted(read("unused", {"x": "text"}), "x") == {"1": 3, "true": 1}


def test_counts_and_hashes_do_not_depend_on_the_batches(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("x\n" + "".join(f"{'v' * (i % 50)}{i % 7}\n" for i in range(200_000)))
    batches = read(path, {"x": "text"})
    assert len(batches) > 2
    assert set(counted(batches, "x").values()) == {571, 572}
    seen = {}
    for batch in batches:
        for value, number in zip(batch.texts["x"].values, batch.texts["x"].hashes, strict=True):
            assert seen.setdefault(value, number) == number


def test_two_columns_of_one_name_are_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("x,x\n1,2\n")
    with pytest.raises(RecordsError, match="must differ"):
        read(path)
