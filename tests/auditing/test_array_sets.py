import numpy as np
import pytest

from keshi.auditing.array_sets import ArraySet, class_means, holds_images, scaled_alike
from keshi.errors import RecordsError


def bytes_of(seed, shape=(20, 4, 4)):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def test_bytes_are_scaled_by_255_and_synthetic_floats_are_rounded_so_that_a_copy_stays_one():
    train = bytes_of(0)
    found = scaled_alike(ArraySet(train), {"synthetic": ArraySet(train + 0.2), "holdout": None})
    assert set(found) == {"train", "synthetic"}
    np.testing.assert_array_equal(found["train"].records, found["synthetic"].records)
    np.testing.assert_allclose(found["train"].records, train / 255, atol=1e-6)


def test_a_grey_channel_is_dropped_wherever_it_stands():
    train = bytes_of(0)
    found = scaled_alike(
        ArraySet(train), {"synthetic": ArraySet(train[:, None]), "holdout": ArraySet(train[..., None])}
    )
    assert {one.records.shape for one in found.values()} == {(20, 4, 4)}


@pytest.mark.parametrize(
    ("records", "message"),
    [
        (bytes_of(1)[:, :3], "different shapes"),
        (bytes_of(1) / 255, "one scale"),
        (bytes_of(1)[:0], "filled array"),
        (np.full((20, 4, 4), np.nan), "missing or infinite"),
        (bytes_of(1).astype(np.int64) * 3, "one scale"),
        (np.array(["a"] * 20), "filled array"),
    ],
)
def test_what_cannot_be_compared_is_refused_by_name(records, message):
    with pytest.raises(RecordsError, match=message) as told:
        scaled_alike(ArraySet(bytes_of(0)), {"synthetic": ArraySet(records)})
    assert "synthetic" in str(told.value)


def test_labels_are_texts_and_class_means_are_the_means():
    labels = np.array([0, 1] * 10)
    real = scaled_alike(ArraySet(bytes_of(0), labels), {})["train"]
    assert real.labels.tolist() == ["0", "1"] * 10
    cheap = class_means(real)
    np.testing.assert_allclose(cheap.records[1], real.records[1::2].mean(axis=0), rtol=1e-5)
    assert len(np.unique(cheap.records, axis=0)) == 2


def test_what_are_images_and_what_are_windows():
    assert holds_images(bytes_of(0, (5, 20, 3)))
    assert holds_images(np.zeros((5, 8, 8)))
    assert holds_images(np.zeros((5, 8, 6, 3)))
    assert not holds_images(np.zeros((5, 50, 6)))


def test_bits_are_numbers_and_huge_entries_are_refused():
    bits = ArraySet(np.random.default_rng(0).random((20, 4, 4)) > 0.5)
    found = scaled_alike(bits, {"synthetic": bits})
    assert set(np.unique(found["synthetic"].records)) == {0.0, 1.0}
    with pytest.raises(RecordsError, match="scale all sets"):
        scaled_alike(ArraySet(np.ones((9, 4, 4)) * 1e300), {"synthetic": bits})
