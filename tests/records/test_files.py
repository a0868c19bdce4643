from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from keshi.errors import DomainError, RecordsError
from keshi.records.column_kinds import Categorical, Numerical
from keshi.records.domain import Domain
from keshi.records.files import column_types, read_batches, table_batches
from keshi.records.tables import TableEncoder

DOMAIN = Domain({"age": Numerical(0, 99), "city": Categorical(("Aa", "Bb"), other=True)})
SECRET = "4711secret"
ROWS = f"age,city\n31,Aa\n{SECRET},Bb\n"


def read(path: Path, domain: Domain = DOMAIN) -> pd.DataFrame:
    return pd.concat(list(read_batches(path, domain)()), ignore_index=True)


GOOD_GZIP = gzip.compress(b"age,city\n" + b"".join(b"%d,Aa\n" % (i % 99) for i in range(100_000)), mtime=0)
PARQUET = pa.BufferOutputStream()
pa.parquet.write_table(pa.table({"age": [1, 2], "city": ["Aa", "Bb"]}), PARQUET)
PARQUET_BYTES = PARQUET.getvalue().to_pybytes()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("none.csv", None, "no such file"),
        ("empty.csv", b"", "the file is empty"),
        ("lines.csv", b"\n\n", "no header line"),
        ("people.xlsx", b"PK", "expected a table in .csv"),
        ("people", b"age,city\n", "expected a table in .csv"),
        ("latin.csv", "age,city\n1,Málaga\n".encode("latin-1"), "not UTF-8"),
        ("header.csv", "âge,city\n1,A\n".encode("latin-1"), "not UTF-8"),
        ("wide.csv", f"age,city\n1,Aa\n2,Bb,{SECRET}\n".encode(), "header names 2 columns and a line has 3"),
        ("late.csv", b"age,city\n" + b"1,Aa\n" * 900_000 + f"2,Bb,{SECRET}\n".encode(), "a line has 3"),
        ("cut.csv", f"age,city\n1,Aa\n{SECRET}".encode(), "header names 2 columns and a line has 1"),
        ("twice.csv", b"age,age\n1,2\n", "stand twice: ['age']"),
        ("bytes.csv", bytes(range(256)) * 9, "columns"),
        ("cut.csv.gz", GOOD_GZIP[: len(GOOD_GZIP) // 2], "incomplete"),
        ("plain.csv.gz", ROWS.encode(), "not what its name says"),
        ("text.parquet", ROWS.encode(), "not what its name says"),
        ("cut.parquet", PARQUET_BYTES[:-20], "not what its name says"),
        ("bent.parquet", PARQUET_BYTES[:8] + b"\xff" * 8 + PARQUET_BYTES[16:], "damaged"),
        ("text.arrow", ROWS.encode(), "not what its name says"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_named_with_the_rule_and_without_values(tmp_path, name, content, says):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RecordsError) as refused:
        read(path)
    message = str(refused.value)
    assert message.startswith(str(path))
    assert says in message
    assert SECRET not in message
    # A traceback shows what an error was raised from, and there Arrow quotes the record.
    assert refused.value.__suppress_context__ or SECRET not in str(refused.value.__cause__)


def test_a_folder_is_not_a_table(tmp_path: Path) -> None:
    with pytest.raises(RecordsError, match="this is a folder"):
        read(tmp_path)


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.arrow"])
def test_a_file_of_a_header_alone_is_a_table_of_no_rows(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    empty = pa.table({"age": pa.array([], pa.int64()), "city": pa.array([], pa.string())})
    if name == "a.csv":
        path.write_text("age,city\n")
    elif name == "a.parquet":
        pa.parquet.write_table(empty, path)
    else:
        with pa.ipc.new_file(path, empty.schema) as file:
            file.write_table(empty)
    batches = [TableEncoder(DOMAIN).encode(batch) for batch in read_batches(path, DOMAIN)()]
    assert sum(len(batch) for batch in batches) == 0
    assert batches


def test_text_that_is_no_number_reaches_the_one_message_of_the_encoder(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text(ROWS)
    with pytest.raises(DomainError, match="column 'age' has values that are not numbers") as refused:
        TableEncoder(DOMAIN).encode(read(path))
    assert SECRET not in str(refused.value)


def test_text_of_categories_stays_text_and_declared_texts_are_missing(tmp_path: Path) -> None:
    domain = Domain(
        {"a": Categorical(("007", "", "NA"), missing=True), "n": Numerical(0, 9, missing=True)},
        missing_values=("?",),
    )
    path = tmp_path / "a.csv"
    path.write_text('\ufeffa,n\n007, 1\n"",2.5\n?,?\n,\nNA,1e400\n')
    frame = read(path, domain)
    assert [None if pd.isna(v) else v for v in frame["a"]] == ["007", "", None, None, "NA"]
    assert frame["n"].tolist()[:2] == [1, 2.5]
    vectors = TableEncoder(domain).encode(frame).vectors
    assert vectors[:, :4].argmax(axis=1).tolist() == [0, 1, 3, 3, 2]
    assert vectors[4, 4] == 1


def test_the_same_table_reads_alike_from_every_format_and_batch_size(tmp_path: Path) -> None:
    n = 3_000
    frame = pd.DataFrame({"age": np.arange(n) % 99, "city": np.where(np.arange(n) % 3, "Aa", "Zz")})
    arrow = pa.Table.from_pandas(frame)
    arrow = arrow.set_column(1, "city", arrow["city"].dictionary_encode())
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_csv(tmp_path / "a.tsv", index=False, sep="\t")
    frame.to_csv(tmp_path / "a.csv.gz", index=False)
    pa.parquet.write_table(arrow, tmp_path / "a.parquet")
    with pa.ipc.new_file(tmp_path / "a.arrow", arrow.schema) as file:
        file.write_table(arrow)
    encoder = TableEncoder(DOMAIN)
    expected = encoder.encode(frame).vectors
    sources = [read_batches(tmp_path / f"a.{end}", DOMAIN, rows=700)
               for end in ("csv", "tsv", "csv.gz", "parquet", "arrow")]  # fmt: skip
    for batches in [*sources, table_batches(arrow, rows=700), table_batches(frame, rows=700)]:
        for _ in range(2):  # as often as called
            vectors = [batch.vectors for batch in encoder.encode_batches(batches())]
            assert max(map(len, vectors)) <= 700
            assert np.array_equal(np.concatenate(vectors), expected)


def test_a_missing_value_does_not_change_how_large_whole_numbers_beside_it_are_read(tmp_path: Path) -> None:
    domain = Domain({"id": Categorical((2**53, 2**53 + 1), missing=True)})
    path = tmp_path / "a.parquet"
    pa.parquet.write_table(pa.table({"id": [2**53 + 1, None, 2**53]}), path)
    cells = TableEncoder(domain).encode(read(path, domain)).vectors.argmax(axis=1)
    assert cells.tolist() == [1, 2, 0]


def test_polars_tables_are_read() -> None:
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"age": [1, 2], "city": ["Aa", "Bb"]})
    assert len(next(table_batches(frame)())) == 2


@pytest.mark.parametrize("what", [3, "people.csv", np.zeros((2, 2)), {"a": [1]}, None, pd.Series([1])])
def test_what_is_no_table_is_refused(what) -> None:
    with pytest.raises(RecordsError, match=r"expected a table .*, got"):
        table_batches(what)


def test_columns_of_one_name_in_a_table_in_memory_are_named() -> None:
    frame = pd.DataFrame([[1, 2, "Aa"]], columns=["age", "age", "city"])
    with pytest.raises(DomainError, match=r"stand twice: \['age'\]"):
        list(TableEncoder(DOMAIN).encode_batches(table_batches(frame)()))


def test_reading_csv_takes_the_same_memory_for_three_times_the_rows(tmp_path: Path) -> None:
    def peak(rows: int) -> int:
        path = tmp_path / f"{rows}.csv"
        path.write_bytes(b"age,city\n" + b"31.25,Aa\n" * rows)
        before = pa.total_allocated_bytes()
        highest = 0
        tracemalloc.start()
        for _ in read_batches(path, DOMAIN)():
            highest = max(highest, pa.total_allocated_bytes() - before)
        python = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest + python

    few, many = peak(3_000_000), peak(9_000_000)  # 27 and 81 MB, both more than Arrow reads ahead
    assert many < 1.5 * few


def test_types_are_guessed_from_csv_and_read_from_parquet(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("i,f,b,t,s\n1,1.5,true,2020-01-01 10:00:00,x\n")
    expected = {"i": "integer", "f": "number", "b": "boolean", "t": "timestamp", "s": "text"}
    assert column_types(tmp_path / "a.csv") == expected
    pa.parquet.write_table(pa.csv.read_csv(tmp_path / "a.csv"), tmp_path / "a.parquet")
    assert column_types(tmp_path / "a.parquet") == expected
