import numpy as np
import pandas as pd
import pytest

from keshi.auditing.shadow_models import membership_by_shadow_models
from keshi.auditing.yardsticks import independent_columns
from keshi.errors import RecordsError


def people(n, seed):
    rng = np.random.default_rng(seed)
    a = rng.normal(size=n)
    return pd.DataFrame({"a": a, "b": a + rng.normal(size=n), "c": rng.choice(list("xyz"), n)})


def memorising(table, seed):
    """Hands out its training rows with a little noise on the numbers."""
    noise = np.random.default_rng(seed).normal(scale=0.02, size=(len(table), 2))
    return table.assign(a=table["a"] + noise[:, 0], b=table["b"] + noise[:, 1])


def honest(table, seed):
    """Knows the population only."""
    return people(len(table), seed + 1000)


def test_a_memorising_synthesizer_is_found():
    found = membership_by_shadow_models(memorising, people(300, 0), models=12)
    assert found.interval()[0] > 0.9
    assert found.members + found.nonmembers == 6 * 50


def test_an_honest_synthesizer_is_not_accused_more_often_than_its_intervals_say():
    covered = []
    for seed in range(10):
        found = membership_by_shadow_models(honest, people(100, seed), models=8, seed=seed)
        low, high = found.interval()
        covered.append(low <= 0.5 <= high)
    assert sum(covered) >= 7  # binomial(10, .95): fewer in 1 of 1,000


def test_outliers_are_the_targets_unless_others_are_named():
    table = pd.concat(
        [people(200, 0), pd.DataFrame({"a": [50.0], "b": [-50.0], "c": ["w"]})], ignore_index=True
    )
    seen = []

    def synthesizer(part, seed):
        seen.append((part["c"] == "w").any())
        return honest(part, seed)

    membership_by_shadow_models(synthesizer, table, models=8)
    assert len(set(seen)) == 2  # in some models and out of others, so it was a target
    few = membership_by_shadow_models(synthesizer, table, models=8, targets=[0, 1, 2])
    assert not few.is_conclusive
    with pytest.raises(RecordsError, match="different positions"):
        membership_by_shadow_models(synthesizer, table, targets=[1, 1])
    with pytest.raises(ValueError, match="at least 8"):
        membership_by_shadow_models(synthesizer, table, models=4)


def test_a_synthesizer_that_loses_a_column_is_told_so():
    with pytest.raises(RecordsError, match="lacks these columns"):
        membership_by_shadow_models(lambda part, seed: independent_columns(part[["a", "b"]]), people(60, 0))
