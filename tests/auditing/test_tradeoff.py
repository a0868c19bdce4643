from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keshi.auditing.tradeoff import lower_envelope, mean_gap

SHARE = st.integers(0, 20).map(lambda n: n / 20)


@given(st.lists(st.tuples(SHARE, SHARE), min_size=1, max_size=30), SHARE)
def test_the_envelope_is_the_lowest_leak_among_points_useful_enough(
    found: list[tuple[float, float]], threshold: float
) -> None:
    useful, leak = np.array(found).T
    envelope = lower_envelope(useful, leak)
    reached = [b for a, b in found if a >= threshold]
    at = float(envelope.at(np.array([threshold]))[0])
    assert (np.isnan(at) and not reached) or at == min(reached)
    np.testing.assert_array_equal(useful[envelope.chosen], envelope.useful)
    np.testing.assert_array_equal(leak[envelope.chosen], envelope.leak)
    assert (np.diff(envelope.useful) < 0).all()
    assert (np.diff(envelope.leak) < 0).all()


def test_the_gap_is_below_zero_for_the_better_method() -> None:
    better = lower_envelope(np.array([0.8, 0.7]), np.array([0.4, 0.2]))
    worse = lower_envelope(np.array([0.8, 0.7]), np.array([0.5, 0.3]))
    assert mean_gap(better, worse, lowest=0.6) == pytest.approx(-0.1)
    assert mean_gap(worse, better, lowest=0.6) == pytest.approx(0.1)
    assert np.isnan(mean_gap(better, worse, lowest=0.9))
