import numpy as np
import pytest

from keshi.auditing.array_attacks import NEAR, attack_arrays, nearest_arrays, nearness
from keshi.errors import RecordsError


def noise(rows, seed):
    return np.random.default_rng(seed).random((rows, 5, 4)).astype(np.float32)


def test_the_nearest_record_is_that_of_a_double_loop_and_a_copy_is_at_distance_zero():
    targets, pool = noise(20, 0), noise(50, 1)
    pool[7] = targets[3]
    index, distance = nearest_arrays(targets, pool)
    gaps = [[np.sqrt(np.mean((one - other) ** 2)) for other in pool] for one in targets.astype(float)]
    assert index.tolist() == np.argmin(gaps, axis=1).tolist()
    np.testing.assert_allclose(distance, np.min(gaps, axis=1), rtol=1e-6)
    assert distance[3] == 0.0


def test_exact_and_near_copies_are_counted_on_both_sides():
    train, held, made = noise(200, 0), noise(200, 1), noise(300, 2)
    made[:30] = train[:30]
    made[30:50] = train[30:50] + np.float32(NEAR / 2)
    found = attack_arrays(made, train, held)
    assert found.copies.exact.train_rate == pytest.approx(30 / 200)
    assert found.copies.exact.control_rate == 0
    assert found.copies.near.train_rate == pytest.approx(50 / 200)
    assert found.copies.synthetic_equal_to_train == pytest.approx(30 / 300)
    assert found.verdict == "leak"
    assert "an equal synthetic record exists" in found.leaks


def test_few_records_are_inconclusive():
    assert attack_arrays(noise(50, 0), noise(50, 0), noise(50, 1)).verdict == "inconclusive"


def test_sets_that_do_not_fit_are_refused():
    with pytest.raises(RecordsError, match="one shape"):
        attack_arrays(noise(50, 0), noise(50, 0)[:, :3], noise(50, 1))
    with pytest.raises(RecordsError, match="filled"):
        attack_arrays(noise(0, 0), noise(50, 0), noise(50, 1))


def test_nearness_is_a_half_for_fresh_records_and_one_for_copies_and_keeps_the_closest_pairs():
    train, held = noise(400, 0), noise(500, 1)
    fresh = nearness(noise(1000, 2), train, held)
    assert fresh.interval[0] < 0.5 < fresh.interval[1]
    assert fresh.pool == 400
    copied = nearness(train[:100], train, held)
    assert copied.share == 1.0
    assert copied.closest.shape == (8, 3, 5, 4)
    np.testing.assert_array_equal(copied.closest[:, 0], copied.closest[:, 1])
