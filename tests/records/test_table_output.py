from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from keshi.errors import KeshiError, RecordsError
from keshi.records.table_output import write_table

FRAME = pd.DataFrame({"a": ["=1+1", "x", None, "שלום 🙂"], "n": [1.5, 2.5, None, -1.0]})


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.parquet"])
def test_a_table_is_written_in_batches_and_comes_back(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    assert write_table([FRAME.iloc[:2], FRAME.iloc[2:]], path) == 0
    back = pd.read_parquet(path) if "parquet" in name else pd.read_csv(path)
    pd.testing.assert_frame_equal(back, FRAME, check_dtype=False)
    first = path.read_bytes()
    write_table([FRAME.iloc[:2], FRAME.iloc[2:]], path)
    assert path.read_bytes() == first


def test_formulas_are_quoted_on_request(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": ["=1+1", "+x", "-x", "@x", "\tx", "x"], "n": [-1.0] * 6})
    path = tmp_path / "a.csv"
    assert write_table([frame], path, neutralise_formulas=True) == 5
    back = pd.read_csv(path)
    assert back["a"].tolist() == ["'=1+1", "'+x", "'-x", "'@x", "'\tx", "x"]
    assert back["n"].tolist() == [-1.0] * 6


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.parquet"])
def test_a_failure_while_writing_leaves_what_stood_there_and_no_half_file(tmp_path: Path, name: str) -> None:
    def batches():
        yield FRAME
        raise KeyboardInterrupt

    path = tmp_path / name
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        write_table(batches(), path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "says"),
    [("a.xlsx", "written as .csv"), ("none/a.csv", "does not exist"), ("dir.csv", "this is a folder")],
)
def test_a_table_that_cannot_be_written_there_is_refused(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / "dir.csv").mkdir()
    with pytest.raises(KeshiError, match=says):
        write_table([FRAME], tmp_path / name)


def test_a_column_of_several_types_is_refused_for_parquet_with_a_way_out(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": pd.Series(["x", 1], dtype=object)})
    with pytest.raises(RecordsError, match=r"write \.csv instead"):
        write_table([frame], tmp_path / "a.parquet")
    assert list(tmp_path.iterdir()) == []
