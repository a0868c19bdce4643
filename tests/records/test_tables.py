from __future__ import annotations

import math
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keshi.errors import DomainError
from keshi.records.column_kinds import Categorical, Column, Numerical, Ordinal, Timestamp
from keshi.records.domain import Domain
from keshi.records.files import table_batches
from keshi.records.table_output import write_table
from keshi.records.tables import TableEncoder

NAN = float("nan")
UNIT = Numerical(-1, 1)
COLOURS = Categorical(("red", "blue"))
YEAR = Timestamp("2020-01-01", "2020-12-31")
YEAR_UTC = Timestamp("2020-01-01T00:00:00Z", "2020-12-31T00:00:00Z")


def encoded(column: Column, values: Any, **options: Any) -> np.ndarray:
    series = values if isinstance(values, pd.Series) else pd.Series(values, dtype=object)
    return TableEncoder(Domain({"it": column}, **options)).encode(pd.DataFrame({"it": series})).vectors


def refusal(column: Column, values: Any, *, show_values: bool = False, **options: Any) -> str:
    series = values if isinstance(values, pd.Series) else pd.Series(values, dtype=object)
    with pytest.raises(DomainError) as refused:
        TableEncoder(Domain({"it": column}, **options), show_values=show_values).encode(
            pd.DataFrame({"it": series})
        )
    return str(refused.value)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([-0.0, 0.0], [0, 0]),
        ([math.inf, -math.inf, 1e308, -1e308], [1, -1, 1, -1]),
        ([2**63, -(2**70), 10**400, -(10**400)], [1, -1, 1, -1]),
        ([Decimal("0.5"), Decimal("1e500"), Decimal("-Infinity")], [0.5, 1, -1]),
        (["0.5", " 1 ", "-1e0"], [0.5, 1, -1]),
        ([True, False], [1, 0]),
        ([0.25, 0.25, 0.25], [0.25, 0.25, 0.25]),
        (pd.Series([1, 0], dtype=">i4"), [1, 0]),
        (pd.Series([0.5, -0.5], dtype=">f8"), [0.5, -0.5]),
        (pd.Series([1, 0], dtype="Int64"), [1, 0]),
        (pd.Series([2**64 - 1, 0], dtype="uint64"), [1, 0]),
        (pd.Series([0.5], dtype="float16"), [0.5]),
        (pd.Series([1, 0, 1], dtype="category"), [1, 0, 1]),
        (pd.Series([0.5, 0.0], dtype="Sparse[float64]"), [0.5, 0]),
        (pd.Series([1, 0], dtype="int64[pyarrow]"), [1, 0]),
    ],
)
def test_any_kind_of_number_is_read_and_clipped_to_the_bounds(values, expected) -> None:
    assert encoded(UNIT, values).ravel().tolist() == expected


@pytest.mark.parametrize(
    "values",
    [
        [0.5, NAN], [0.5, None], [0.5, pd.NA], [0.5, pd.NaT], [0.5, Decimal("NaN")],
        pd.Series([0.5, None], dtype="Float64"), pd.Series([0.5, NAN]), pd.Series([True, None], dtype="boolean"),
    ],
)  # fmt: skip
def test_every_sort_of_missing_number_is_a_cell_or_refused(values) -> None:
    vectors = encoded(Numerical(-1, 1, missing=True), values)
    assert vectors[1].tolist() == [0, 1]
    assert vectors[0, 1] == 0
    message = refusal(UNIT, values)
    assert "column 'it' has missing values" in message
    assert "missing = true in [columns.it]" in message


@pytest.mark.parametrize(
    "values",
    [
        ["secret"], ["nan"], [1j], [[1]], [{"a": 1}], [b"x"], [datetime(2020, 1, 1)], [object()],
        pd.Series([1j]), pd.to_datetime(pd.Series(["2020-01-01"])), pd.Series(pd.to_timedelta([1], unit="s")),
    ],
)  # fmt: skip
def test_what_is_no_number_is_refused_and_never_shown_unasked(values) -> None:
    message = refusal(UNIT, values)
    assert "column 'it' has values that are not numbers (--show-values names them)" in message
    assert "secret" not in message
    assert "1970" not in message
    assert "2020" not in message


@pytest.mark.parametrize("value", [1.5, -1.5, math.inf, 1e308, 2**63, Decimal(7)])
def test_a_number_outside_is_refused_where_the_domain_says_so(value) -> None:
    message = refusal(UNIT, [0, value], outside="refuse")
    side = "lower bound -1" if value == -1.5 else "upper bound 1"
    assert f"its {side} (--show-values names them). Widen it" in message
    assert str(value) in refusal(UNIT, [0, value], outside="refuse", show_values=True)


def test_missing_numbers_and_the_bounds_themselves_are_not_outside() -> None:
    encoded(Numerical(-1, 1, missing=True), [-1, 1, None], outside="refuse")


@pytest.mark.parametrize(
    ("categories", "values", "cells"),
    [
        ((1, "a"), [1, "a", 1.0, "1", Decimal("1.0")], [0, 1, 0, 0, 0]),
        ((True, 1), [True, 1, np.True_, 1.0, "True", "FALSE "], [0, 1, 0, 1, 0, None]),
        ((2, 3), ["2.0", " 3 ", "3.0"], [0, 1, 1]),
        (("007", "7"), ["007", 7, "7"], [0, 1, 1]),
        ((2**63, 2**63 + 1), [2**63 + 1, 2**63, str(2**63 + 1)], [1, 0, 1]),
        (("", "a"), ["", "a"], [0, 1]),
        (("שלום", "🙂", "x\0y", "e\u0301"), ["🙂", "x\0y", "שלום", "é"], [1, 2, 0, None]),
        ((0, 0.5), [-0.0, 0.5], [0, 1]),
        (("a",), ["a", "a"], [0, 0]),
    ],
)
def test_a_value_goes_to_its_category_and_others_to_other(categories, values, cells) -> None:
    column = Categorical(categories, other=True)
    expected = [len(categories) if cell is None else cell for cell in cells]
    assert encoded(column, values).argmax(axis=1).tolist() == expected


def test_none_and_nan_are_missing_and_the_empty_text_is_a_value() -> None:
    column = Categorical(("",), other=True, missing=True)
    assert encoded(column, ["", None, NAN, pd.NA, "None"]).argmax(axis=1).tolist() == [0, 2, 2, 2, 1]
    assert "missing values" in refusal(Categorical(("",)), ["", None])


@pytest.mark.parametrize("values", [["secret"], ["RED"], [""], [7], [["red"]], [b"red"]])
def test_an_unseen_category_is_refused_without_a_cell_for_others(values) -> None:
    message = refusal(COLOURS, values)
    assert "column 'it' has values that are not among its 2 categories (--show-values names them)" in message
    assert "set other = true" in message
    assert "secret" not in message
    assert repr(values[0]) in refusal(COLOURS, values, show_values=True)


@pytest.mark.parametrize(
    "values",
    [
        pd.Series(["blue", "red"]), pd.Series(["blue", "red"], dtype="category"),
        pd.Series(["blue", "red"], dtype="string"), pd.Series(pd.Categorical(["blue", "red"], ordered=True)),
        pd.Series(["blue", "red"], dtype=pd.ArrowDtype(pa.dictionary(pa.int8(), pa.string()))),
    ],
)  # fmt: skip
def test_every_dtype_of_text_is_read(values) -> None:
    assert encoded(COLOURS, values).argmax(axis=1).tolist() == [1, 0]


def test_many_levels_are_read_and_what_is_not_listed_is_other() -> None:
    column = Categorical(tuple(range(1000)), other=True)
    values = pd.Series(np.arange(2000))
    cells = encoded(column, values).argmax(axis=1)
    assert cells.tolist() == [min(value, 1000) for value in range(2000)]


@pytest.mark.parametrize(
    ("column", "values", "share"),
    [
        (YEAR, ["2020-01-01", "2020-12-31T00:00:00", "20200701"], [-1, 1, -0.00274]),
        (YEAR, [date(2020, 7, 1), datetime(2020, 7, 1), np.datetime64("2020-07-01")], [-0.00274] * 3),
        (YEAR, ["0001-01-01", "9999-12-31"], [-1, 1]),
        (YEAR, pd.Series(["2020-07-01"]).astype("datetime64[s]"), [-0.00274]),
        (YEAR, pd.Series(["2020-07-01"]).astype("datetime64[ns]"), [-0.00274]),
        (YEAR_UTC, ["2020-07-01T02:00:00+02:00", "2020-07-01T00:00Z", "2020-06-30T19-05"], [-0.00274] * 3),
        (YEAR_UTC, pd.Series(["2020-07-01"]).astype("datetime64[ns]").dt.tz_localize("UTC"), [-0.00274]),
        (YEAR_UTC, pd.Series(["2020-07-01T02"]).astype("datetime64[us]").dt.tz_localize("Europe/Rome"), [-0.00274]),
        (YEAR_UTC, [datetime(2020, 7, 1, tzinfo=UTC)], [-0.00274]),
    ],
)  # fmt: skip
def test_any_kind_of_moment_is_read(column, values, share) -> None:
    assert encoded(column, values).ravel() == pytest.approx(share, abs=1e-4)


@pytest.mark.parametrize(
    ("column", "values", "says"),
    [
        (YEAR, ["soon"], "not moments"),
        (YEAR, [5], "not moments"),
        (YEAR, pd.Series([20200101]), "not moments"),
        (YEAR, ["2020-13-01"], "not moments"),
        (YEAR, ["2020-01-01Z"], "not moments"),
        (YEAR, ["2020-07-01T00:00:00Z"], "have an offset"),
        (YEAR, ["2020-07-01T00:00:00", "2020-07-01T00+01"], "have an offset"),
        (YEAR_UTC, ["2020-07-01T00:00:00Z", "2020-07-01T00:00:00"], "lack an offset"),
        (YEAR_UTC, [datetime(2020, 7, 1), datetime(2020, 7, 1, tzinfo=UTC)], "lack an offset"),
        (YEAR_UTC, pd.to_datetime(pd.Series(["2020-07-01"])), "lack an offset"),
        (YEAR, pd.to_datetime(pd.Series(["2020-07-01"])).dt.tz_localize("UTC"), "have an offset"),
        (YEAR, ["2020-07-01", None], "missing values"),
        (YEAR, pd.to_datetime(pd.Series(["2020-07-01", None])), "missing values"),
    ],
)
def test_a_moment_that_does_not_fit_is_refused_and_not_shown(column, values, says) -> None:
    message = refusal(column, values)
    assert says in message
    for value in ("soon", "2020-07", "2020-13", "20200101"):
        assert value not in message.replace("such as 2020-01-31", "")


def test_a_moment_outside_is_clipped_or_refused() -> None:
    assert encoded(YEAR, ["2021-05-05"]).item() == 1
    assert "above its upper bound 2020-12-31" in refusal(YEAR, ["2021-05-05"], outside="refuse")


TABLE = pd.DataFrame({"age": [30.0, 200.0], "city": ["secret town", None], "y": ["a", "b"], "id": [1, 2]})


def test_all_problems_of_a_table_stand_in_one_message_with_what_to_do() -> None:
    domain = Domain(
        {"age": Numerical(0, 99), "city": COLOURS, "y": Categorical(("a", "b")), "pay": UNIT},
        label="y", outside="refuse",
    )  # fmt: skip
    with pytest.raises(DomainError) as refused:
        TableEncoder(domain).encode(TABLE, source="people.csv")
    message = str(refused.value)
    for part in (
        "people.csv does not follow the domain:\n",
        "column 'pay' is declared but not in the table",
        "column 'id' is not declared. Add [columns.id], or list it under ignore",
        "column 'age' has values above its upper bound 99",
        "column 'city' has values that are not among",
        "column 'city' has missing values",
    ):
        assert part in message
    assert "secret town" not in message
    assert "200" not in message
    assert message.count("\n  - ") == 5


def test_problems_of_all_batches_stand_in_one_message() -> None:
    domain = Domain({"a": Numerical(0, 1), "b": Numerical(0, 1)})
    frame = pd.DataFrame({"a": [0, None, 0, None], "b": [0, 0, None, 0]})
    batches = TableEncoder(domain).encode_batches(table_batches(frame, rows=1)())
    assert len(next(batches)) == 1
    with pytest.raises(DomainError) as refused:
        list(batches)
    assert str(refused.value).count("has missing values") == 2


def test_a_missing_label_value_is_refused_and_a_declared_one_is_a_class() -> None:
    frame = pd.DataFrame({"x": [0, 0, 0], "y": ["a", None, "a"]})
    with pytest.raises(DomainError, match="column 'y' has missing values"):
        TableEncoder(Domain({"x": UNIT, "y": Categorical(("a", "b"))}, label="y")).encode(frame)
    domain = Domain({"x": UNIT, "y": Categorical(("a", "b"), missing=True)}, label="y")
    assert TableEncoder(domain).encode(frame).classes.tolist() == [0, 2, 0]


@pytest.mark.parametrize("rows", [0, 1])
def test_tables_of_no_and_of_one_row_are_encoded(rows) -> None:
    domain = Domain({"x": UNIT, "c": COLOURS, "t": YEAR})
    frame = pd.DataFrame({"x": [0.5], "c": ["red"], "t": ["2020-05-05"]}).iloc[:rows]
    assert TableEncoder(domain).encode(frame).vectors.shape == (rows, 4)


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (pd.DataFrame(), "'x' is declared but not in the table"),
        (pd.DataFrame(index=range(3)), "'x' is declared but not in the table"),
        (pd.DataFrame([[1, 2]], columns=["x", "x"]), "stand twice: ['x']"),
        (pd.DataFrame([[1, 2, 3]], columns=["x", "y", "y"]), "stand twice: ['y']"),
        (pd.DataFrame({"X": [1]}), "column 'X' is not declared"),
    ],
)
def test_a_table_of_another_shape_is_refused(frame, says) -> None:
    with pytest.raises(DomainError) as refused:
        TableEncoder(Domain({"x": UNIT})).encode(frame)
    assert says in str(refused.value)


def test_columns_may_be_named_by_numbers_and_by_any_text() -> None:
    names = ["class", "true", "a.b", "שלום", "🙂", "", "x\0y", "0"]
    domain = Domain(dict.fromkeys(names, UNIT))
    assert TableEncoder(domain).encode(pd.DataFrame([[0.5] * 8], columns=names)).vectors.tolist() == [
        [0.5] * 8
    ]
    by_number = TableEncoder(Domain({"0": UNIT, "1": UNIT})).encode(pd.DataFrame([[0, 1]]))
    assert by_number.vectors.tolist() == [[0, 1]]


mixed = st.lists(
    st.one_of(
        st.none(), st.booleans(), st.integers(-3, 3), st.floats(), st.integers(2**53, 2**53 + 4), st.decimals(),
        st.sampled_from(["", "a", "1", "1.0", "True", "9007199254740993", "1e400"]),
    ), min_size=1, max_size=12,
)  # fmt: skip


@settings(max_examples=60)
@given(mixed, st.randoms(use_true_random=False))
def test_a_record_is_encoded_alike_whatever_stands_beside_it(values, random) -> None:
    domain = Domain(
        {
            "c": Categorical((True, 1, 2**53, 2**53 + 1, "a", 0.5), other=True, missing=True),
            "n": Numerical(-3, 2**53 + 3, missing=True),
        }
    )
    numbers = [None if isinstance(value, str) and value in ("", "a", "True") else value for value in values]
    frame = pd.DataFrame({"c": pd.Series(values, dtype=object), "n": pd.Series(numbers, dtype=object)})
    encoder = TableEncoder(domain)
    together = encoder.encode(frame).vectors
    alone = np.concatenate([encoder.encode(frame.iloc[[row]]).vectors for row in range(len(frame))])
    assert together.tobytes() == alone.tobytes()
    order = list(range(len(frame)))
    random.shuffle(order)
    assert encoder.encode(frame.iloc[order]).vectors.tobytes() == together[order].tobytes()


@settings(max_examples=100)
@given(st.lists(st.floats(allow_nan=False), min_size=1), st.floats(-1e6, 0), st.floats(1, 1e6))
def test_vectors_are_bounded_and_on_the_grid_and_norms_within_the_bound(values, lower, upper) -> None:
    domain = Domain({"n": Numerical(lower, upper, missing=True), "c": COLOURS})
    frame = pd.DataFrame({"n": values, "c": "red"})
    vectors = TableEncoder(domain).encode(frame).vectors
    assert (np.abs(vectors) <= 1).all()
    assert np.array_equal(vectors * 2**20, np.rint(vectors * 2**20))
    assert np.linalg.norm(vectors, axis=1).max() <= domain.largest_norm + 1e-12


ROUND_TRIP = {
    "text": (Categorical(("a", "b")), ["a", "b"], "str"),
    "text, missing": (Categorical(("a", "b"), missing=True), ["a", None], "str"),
    "bool": (Categorical((True, False)), [True, False], "bool"),
    "bool, missing": (Categorical((True, False), missing=True), [True, None], "boolean"),
    "codes": (Categorical((1, 2)), [1, 2], "int64"),
    "codes, missing": (Categorical((1, 2), missing=True), [1, None], "Int64"),
    "huge codes": (Categorical((2**63, 1)), [2**63, 1], "object"),
    "mixed": (Categorical((1, "a", True)), ["a", 1], "object"),
    "floats": (Categorical((0.5, 2)), [0.5, 2.0], "float64"),
    "whole": (Numerical(0, 10, integer=True), [0, 7], "int64"),
    "whole, missing": (Numerical(0, 10, integer=True, missing=True), [3, None], "Int64"),
    "whole, bounds between": (Numerical(0.5, 2.5, integer=True, dtype="int8"), [1, 2], "int8"),
    "whole, given": (Numerical(0, 10, integer=True, dtype="uint8"), [3, 10], "uint8"),
    "number": (Numerical(-1, 1), [0.5, -1.0], "float64"),
    "number, given": (Numerical(-1, 1, dtype="float32"), [0.5, -1.0], "float32"),
    "moment": (Timestamp("2020-01-01", "2020-01-02"), [pd.Timestamp("2020-01-01T12"), pd.Timestamp("2020-01-02")],
               "datetime64[us]"),
    "moment, zone": (Timestamp("2020-01-01T00Z", "2020-01-02T00Z"), [pd.Timestamp("2020-01-01T12Z")] * 2,
                     "datetime64[us, UTC]"),
    "category": (Categorical(("a", "b"), dtype="category"), ["b", "a"], "category"),
}  # fmt: skip


@pytest.mark.parametrize("case", ROUND_TRIP)
def test_values_missing_ones_and_dtypes_come_back(case) -> None:
    column, values, dtype = ROUND_TRIP[case]
    frame = pd.DataFrame({"it": pd.Series(values, dtype=object)})
    before = frame.copy(deep=True)
    encoder = TableEncoder(Domain({"it": column}))
    batch = encoder.encode(frame)
    pd.testing.assert_frame_equal(frame, before)
    back = encoder.decode(batch.vectors, batch.classes)["it"]
    expected = str(pd.Series(["a"]).dtype) if dtype == "str" else dtype
    assert str(back.dtype) == expected
    assert [None if pd.isna(v) else v for v in back] == values


@pytest.mark.parametrize(
    "column",
    [
        Numerical(0, 1, missing=True, dtype="int64"),
        Numerical(0, 300, integer=True, dtype="nonsense"),
        Categorical(("a",), dtype="int64"),
        Categorical((1, 2), missing=True, dtype="int64"),
        Timestamp("2020-01-01", "2021-01-01", dtype="float32[ms]"),
        Timestamp("2020-01-01", "2021-01-01", dtype="int64"),
        Numerical(0, 1000, integer=True, dtype="int8"),  # 1,000 would come back as -24
        Numerical(-5, 100, integer=True, dtype="uint8"),
        Numerical(0, 9, integer=True, dtype="bool"),
        Numerical(0, 1e6, dtype="float16"),  # infinity
        Categorical(("007", "12"), dtype="int64"),
        Categorical(("no", "yes"), dtype="bool"),  # both True
    ],
)
def test_a_dtype_that_cannot_hold_the_values_is_refused_before_anything_is_read(column) -> None:
    with pytest.raises(DomainError, match=r"column 'it'.*dtype.*leave dtype out"):
        TableEncoder(Domain({"it": column}))


def test_whole_numbers_and_bounds_at_the_ends_of_64_bits_come_back() -> None:
    column = Numerical(-(2**63), 2**62, integer=True)
    encoder = TableEncoder(Domain({"it": column}))
    batch = encoder.encode(pd.DataFrame({"it": [-(2**63), 2**62]}))
    assert encoder.decode(batch.vectors, batch.classes)["it"].tolist() == [-(2**63), 2**62]


def test_a_column_of_dtype_category_has_the_same_dtype_in_every_batch() -> None:
    column = Ordinal(("low", "mid", "high"), missing=True, dtype="category")
    encoder = TableEncoder(Domain({"grade": column}))
    one, other = (encoder.decode(np.eye(4)[cells], np.zeros(2)) for cells in ([0, 0], [2, 3]))
    assert one["grade"].dtype == other["grade"].dtype == pd.concat([one, other])["grade"].dtype
    assert list(one["grade"].dtype.categories) == ["low", "mid", "high"]
    assert one["grade"].dtype.ordered


@settings(max_examples=200)
@given(st.integers(0, 4), st.integers(-500, 500), st.integers(1, 900), st.data())
def test_declared_decimals_come_back_as_written(decimals, low, width, data):
    column = Numerical(low / 10**decimals, (low + width) / 10**decimals, decimals=decimals)
    written = [i / 10**decimals for i in data.draw(st.lists(st.integers(low, low + width), min_size=1))]
    encoder = TableEncoder(Domain({"it": column}))
    batch = encoder.encode(pd.DataFrame({"it": written}))
    assert encoder.decode(batch.vectors, batch.classes)["it"].tolist() == written
    anything = np.array(data.draw(st.lists(st.floats(-1, 1), min_size=1)))[:, None]
    for number in encoder.decode(anything, np.zeros(len(anything)))["it"]:
        assert number == float(f"{number:.{decimals}f}")
        assert column.lower <= number <= column.upper


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_without_declared_decimals_there_are_more(scale):
    encoder = TableEncoder(Domain({"it": Numerical(0, 100, scale=scale)}))
    there = encoder.decode(np.array([[0.123456]]), np.zeros(1))["it"].tolist()
    assert there != [round(there[0], 2)]
    encoder = TableEncoder(Domain({"it": Numerical(0, 100, scale=scale, decimals=2)}))
    assert encoder.decode(np.array([[0.123456]]), np.zeros(1))["it"].tolist() == [round(there[0], 2)]


@settings(max_examples=100)
@given(
    st.sampled_from(["day", "hour", "minute", "second"]),
    st.sampled_from(["", "Z"]),
    st.integers(-2_000_000, 2_000_000),
    st.integers(1, 50_000),
    st.data(),
)
def test_moments_come_back_as_the_beginning_of_their_declared_day_or_hour(resolution, zone, low, width, data):
    start = pd.Timestamp(0, tz="UTC" if zone else None)
    apart = pd.Timedelta(1, {"day": "D", "hour": "h", "minute": "min", "second": "s"}[resolution])
    days = 60 if resolution == "day" else 1  # pandas counts the nanoseconds of a Timedelta: 292 years of them
    lower, upper = start + low // days * apart, start + (low // days + width) * apart
    column = Timestamp(lower.isoformat(), upper.isoformat(), resolution=resolution)
    whole = data.draw(st.lists(st.integers(0, width), min_size=1))
    parts = data.draw(st.lists(st.floats(0, 0.99), min_size=len(whole), max_size=len(whole)))
    moments = pd.Series([lower + i * apart + part * apart for i, part in zip(whole, parts, strict=True)])
    encoder = TableEncoder(Domain({"it": column}, outside="refuse"))
    batch = encoder.encode(pd.DataFrame({"it": moments}))
    back = encoder.decode(batch.vectors, batch.classes)["it"]
    assert back.tolist() == [lower + i * apart for i in whole]
    anything = np.array(data.draw(st.lists(st.floats(-1, 1), min_size=1)))[:, None]
    for moment in encoder.decode(anything, np.zeros(len(anything)))["it"]:
        assert lower <= moment <= upper
        assert (moment - start) % apart == pd.Timedelta(0)


def test_dates_are_written_without_a_time_of_day(tmp_path):
    column = Timestamp("2020-01-01", "2020-12-31", resolution="day", missing=True)
    encoder = TableEncoder(Domain({"it": column}))
    batch = encoder.encode(pd.DataFrame({"it": ["2020-03-01", "2020-03-01T23:59:59", None]}))
    table = encoder.decode(batch.vectors, batch.classes)
    write_table([table, table], tmp_path / "dates.csv")
    lines = (tmp_path / "dates.csv").read_text().splitlines()
    assert lines == ["it"] + ["2020-03-01", "2020-03-01", '""'] * 2
