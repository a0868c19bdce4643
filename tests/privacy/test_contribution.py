"""Each subject weighs at most one unit, and the choice for one subject does not look at any other."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keshi.errors import RecordsError
from keshi.privacy.contribution import bound_contributions

UNIT = 2**20


def weigh(batches, max_records=None):
    with bound_contributions(batches, unit_weight=UNIT, max_records=max_records) as found:
        return np.array(found.weights), found.subjects


@given(
    st.lists(st.sampled_from(["a", "b", "c", 1, 2.5, "é", "x y"]), min_size=1, max_size=60),
    st.none() | st.integers(1, 4),
)
def test_no_subject_weighs_more_than_a_unit_and_none_is_lost(ids, max_records):
    weights, subjects = weigh([ids[:7], ids[7:]], max_records)
    assert subjects == len(set(map(str, ids)))
    for subject, count in Counter(map(str, ids)).items():
        own = weights[[str(value) == subject for value in ids]]
        kept = count if max_records is None else min(count, max_records)
        assert (own > 0).sum() == kept
        assert own.sum() <= UNIT
        assert own.sum() > UNIT - kept  # flooring loses less than one step a record


def test_batches_and_the_order_of_other_subjects_do_not_matter():
    ids = [f"s{i % 13}" for i in range(200)]
    whole, _ = weigh([ids])
    parts, _ = weigh([ids[:1], ids[1:77], ids[77:]])
    assert np.array_equal(whole, parts)
    order = np.random.default_rng(0).permutation(200)
    shuffled, _ = weigh([[ids[i] for i in order]])
    assert np.array_equal(shuffled, whole[order])


@pytest.mark.real_noise
def test_kept_records_are_drawn_anew_every_time_and_uniformly():
    """One subject with 4 records, one kept, 400 draws: each is kept 100 times +- 5 standard deviations."""
    counts = np.zeros(4)
    for _ in range(400):
        weights, _ = weigh([["a"] * 4], max_records=1)
        counts += weights > 0
    assert counts.sum() == 400
    assert np.abs(counts - 100).max() < 5 * np.sqrt(400 * 0.25 * 0.75)


@pytest.mark.parametrize("nobody", [None, float("nan"), ""])
def test_a_record_without_a_subject_is_refused(nobody):
    with pytest.raises(RecordsError, match="a record has no subject"):
        weigh([["a", nobody]])


def test_a_number_is_one_subject_in_every_dtype():
    """A batch of whole numbers and one of floats: as two subjects, one person would weigh two units."""
    ids = [np.array([7, -1]), np.array([7.0, -1.0]), np.array([7], dtype=np.float32), [0.0, -0.0]]
    weights, subjects = weigh(ids)
    assert subjects == 3
    assert weights.tolist() == [UNIT // 3, UNIT // 2, UNIT // 3, UNIT // 2, UNIT // 3, UNIT // 2, UNIT // 2]


@pytest.mark.parametrize("several", [np.array([1, 2]), ["a", "b"], ("a",), {}])
def test_an_identifier_of_several_values_is_refused(several):
    with pytest.raises(RecordsError, match="must be one value"):
        weigh([[1, several]])


def test_nothing_is_left_on_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with bound_contributions([["a", "b"]], unit_weight=UNIT):
        assert any(tmp_path.iterdir())
    assert not any(tmp_path.iterdir())
