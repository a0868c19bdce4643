import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keshi.errors import DomainError
from keshi.records.arrays import array_bounds, array_dtype, decode_arrays
from keshi.records.column_kinds import Categorical, Image, Numerical, Window
from keshi.records.domain import Domain
from keshi.records.tables import TableEncoder

GREY = Image(3, 4)
COLOUR = Image(2, 2, 3, lower=(0, -1, 0), upper=(1, 1, 255), integer=False)
SENSOR = Window(5, 2, lower=(-16, -2000), upper=(16, 2000), rate=50.0)
DOMAIN = Domain(
    {"a": GREY, "n": Numerical(0, 10), "y": Categorical(("p", "q")), "w": SENSOR, "c": COLOUR}, label="y"
)


def column(*values):
    cells = np.empty(len(values), dtype=object)
    for row, value in enumerate(values):
        cells[row] = value
    return pd.Series(cells)


def table(n=6, seed=0):
    randomness = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "a": column(*randomness.integers(0, 256, (n, 3, 4)).astype(np.uint8)),
            "n": randomness.uniform(0, 10, n),
            "y": randomness.choice(["p", "q"], n),
            "w": column(*randomness.uniform([-16, -2000], [16, 2000], (n, 5, 2))),
            "c": column(*randomness.uniform([0, -1, 0], [1, 1, 255], (n, 2, 2, 3))),
        }
    )


def test_arrays_stand_in_the_vector_entry_by_entry_beside_other_columns() -> None:
    kinds = [(slot.column, slot.kind, slot.stop - slot.start) for slot in DOMAIN.slots]
    assert kinds == [("a", "array", 12), ("n", "numerical", 1), ("w", "array", 10), ("c", "array", 12)]
    assert math.isclose(DOMAIN.largest_norm, math.sqrt(35))
    rows = table()
    vectors = TableEncoder(DOMAIN).encode(rows).vectors
    slow = [[value / 255 * 2 - 1 for value in rows["a"][row].ravel().tolist()] for row in range(len(rows))]
    np.testing.assert_allclose(vectors[:, :12], slow, atol=2**-20)
    np.testing.assert_allclose(vectors[:, 13], [w[0, 0] / 16 for w in rows["w"]], atol=2**-20)
    np.testing.assert_allclose(vectors[:, 14], [w[0, 1] / 2000 for w in rows["w"]], atol=2**-20)
    assert np.array_equal(vectors * 2**20, np.rint(vectors * 2**20))
    assert np.abs(vectors).max() <= 1


def test_a_table_with_arrays_comes_back_with_its_shapes_and_dtypes() -> None:
    rows = table()
    encoder = TableEncoder(DOMAIN)
    batch = encoder.encode(rows)
    back = encoder.decode(batch.vectors, batch.classes)
    assert [back[name][0].dtype for name in "awc"] == [np.uint8, np.float32, np.float32]
    for name in "awc":
        assert back[name][0].shape == rows[name][0].shape
        np.testing.assert_allclose(np.stack(back[name]), np.stack(rows[name]), atol=4e-3)
    assert np.array_equal(np.stack(back["a"]), np.stack(rows["a"]))
    again = encoder.encode(back)
    np.testing.assert_allclose(again.vectors, batch.vectors, atol=2**-18)


@settings(max_examples=50)
@given(st.floats(-3e38, 3e38), st.floats(-3e38, 3e38), st.lists(st.floats(-1, 1), min_size=3, max_size=3))
def test_decoded_values_never_leave_the_bounds_whatever_float32_rounds_them_to(one, other, scaled) -> None:
    if one == other or np.float32(min(one, other)) == np.float32(max(one, other)):
        return
    made = Window(3, 1, min(one, other), max(one, other))
    values = decode_arrays(made, np.array([scaled]))[0].astype(np.float64)
    assert values.min() >= made.lower
    assert values.max() <= made.upper


def test_whole_numbers_keep_to_whole_numbers_inside_fractional_bounds() -> None:
    made = Image(1, 2, lower=0.5, upper=3.5)
    assert decode_arrays(made, np.array([[-1.0, 1.0]]))[0].tolist() == [[1, 3]]
    assert array_dtype(Image(1, 1, lower=-1, upper=1)) == np.int64


def test_bounds_of_one_image_channel_reach_every_pixel() -> None:
    lower, upper = array_bounds(Image(2, 3, 1, lower=(1,), upper=5))
    assert lower.shape == upper.shape == (2, 3)
    assert lower.tolist() == [[1, 1, 1], [1, 1, 1]]


def test_the_axis_of_a_single_channel_may_be_there_or_not() -> None:
    image, window = Domain({"a": Image(2, 2)}), Domain({"w": Window(3, 1, 0, 1)})
    with_axis = TableEncoder(image).encode(pd.DataFrame({"a": column(np.ones((2, 2, 1)))}))
    without = TableEncoder(image).encode(pd.DataFrame({"a": column(np.ones((2, 2)))}))
    assert np.array_equal(with_axis.vectors, without.vectors)
    assert TableEncoder(window).encode(
        pd.DataFrame({"w": column(np.ones(3), np.ones((3, 1)))})
    ).vectors.shape == (2, 3)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "without an array"),
        (float("nan"), "without an array"),
        (pd.NA, "without an array"),
        ("picture", "no arrays of numbers"),
        (7, "no arrays of numbers"),
        ([[1, 2], [3]], "no arrays of numbers"),
        (np.full((3, 4), "x"), "no arrays of numbers"),
        (np.full((3, 4), None), "no arrays of numbers"),
        (np.full((3, 4), 1j), "no arrays of numbers"),
        (np.ma.masked_greater(np.arange(12).reshape(3, 4), 10), "no arrays of numbers"),
        (np.zeros((4, 3)), r"not of its declared shape \(3, 4\)"),
        (np.zeros((3, 4, 3)), r"not of its declared shape \(3, 4\)"),
        (np.full((3, 4), np.nan), "not finite numbers"),
        (np.full((3, 4), -np.inf), "not finite numbers"),
        (np.full((3, 4), 0.5), "entries that are not whole numbers"),  # shares of white, which would be black
    ],
)
def test_what_is_no_array_of_the_declared_shape_is_named_with_its_column(value, said) -> None:
    domain = Domain({"a": GREY})
    rows = pd.DataFrame({"a": column(np.zeros((3, 4)), value)})
    with pytest.raises(DomainError, match=rf"column 'a' has .*{said}"):
        TableEncoder(domain).encode(rows)


def test_all_problems_of_array_columns_are_told_together() -> None:
    rows = table().assign(a=column(*[None] * 6), w=column(*[np.zeros((1, 1))] * 6))
    with pytest.raises(DomainError) as error:
        TableEncoder(DOMAIN).encode(rows)
    assert "column 'a'" in str(error.value)
    assert "column 'w'" in str(error.value)


def test_values_outside_are_clipped_or_refused_as_declared() -> None:
    wild = pd.DataFrame({"a": column(np.full((3, 4), 1e308), np.full((3, 4), -1e308))})
    assert TableEncoder(Domain({"a": GREY})).encode(wild).vectors.tolist() == [[1.0] * 12, [-1.0] * 12]
    with pytest.raises(DomainError, match="entries below its lower bound 0") as error:
        TableEncoder(Domain({"a": GREY}, outside="refuse")).encode(wild)
    assert "1e+308" not in str(error.value)


def test_a_record_is_encoded_the_same_whatever_stands_beside_it() -> None:
    rows = table(9)
    whole = TableEncoder(DOMAIN).encode(rows).vectors
    alone = [TableEncoder(DOMAIN).encode(rows.iloc[[row]]).vectors[0] for row in range(len(rows))]
    assert np.array_equal(whole, alone)


def test_no_records_are_no_vectors() -> None:
    assert TableEncoder(DOMAIN).encode(table(0)).vectors.shape == (0, 35)


def test_a_domain_file_gives_arrays_back_as_they_were() -> None:
    assert Domain.loads(DOMAIN.dumps()) == DOMAIN
    assert 'type = "window"' in DOMAIN.dumps()
    spelt = 'format = "keshi-domain-1"\n[columns.a]\ntype = "image"\nheight = 3\nwidth = 4\n'
    assert Domain.loads(spelt).columns["a"] == GREY


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (Image(0, 4), "height must be a whole number from 1"),
        (Image(2.0, 4), "height must be a whole number from 1"),
        (Image(True, 4), "height must be a whole number from 1"),
        (Image(2, 2**40), "width must be a whole number from 1"),
        (Image(2, 2, 3, lower=(0, 0)), "one for each of the 3 channels, got 2"),
        (Image(2, 2, lower=5, upper=5), "lower must be below upper"),
        (Image(2, 2, lower=0.2, upper=0.8), "no whole number between"),
        (Image(2, 2, lower=0, upper=2**60), "too large for exact whole numbers"),
        (Window(5, 1, 0, 1e39), "too large for 32-bit"),
        (Window(5, 1, float("nan"), 1), "lower must be a finite number"),
        (Window(5, 1, "low", 1), "lower must be a finite number"),
        (Window(5, 1, 0, 10**400), "upper must be a finite number"),
        (Window(5, 2, 0, (1, "x")), "upper must be a finite number"),
        (Window(5, 1, 0, 1, rate=0), "rate must be samples per second"),
        (Image(2, 2, integer="yes"), "integer must be true or false"),
    ],
)
def test_a_declaration_that_cannot_be_is_refused(column, said) -> None:
    with pytest.raises(DomainError, match=f"column 'a': .*{said}"):
        Domain({"a": column})


def test_an_array_column_is_no_label() -> None:
    with pytest.raises(DomainError, match="label 'a' must be categorical"):
        Domain({"a": GREY, "n": Numerical(0, 1)}, label="a")
