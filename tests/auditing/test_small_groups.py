import json

import numpy as np
import pandas as pd
import pytest

from keshi.auditing.small_groups import SmallGroups, group_errors, group_shares
from keshi.errors import RecordsError


def people(n, seed, *, rare=0.03, reversed_for_rare=False):
    rng = np.random.default_rng(seed)
    group = rng.choice(["many", "rare"], n, p=[1 - rare, rare])
    x = rng.normal(size=n)
    sign = np.where((group == "rare") & reversed_for_rare, -1, 1)
    return pd.DataFrame({"group": group, "x": x, "y": np.where(sign * x > 0, "yes", "no")})


def test_a_group_that_was_erased_is_named_and_one_that_was_kept_is_not():
    real = people(4000, 0)
    (kept,) = group_shares(people(4000, 1), real)
    assert not kept.is_erased
    assert 0.7 < kept.ratio < 1.4
    (lost,) = group_shares(people(4000, 1, rare=0.005), real)
    assert (lost.column, lost.group, lost.is_erased) == ("group", "rare", True)
    assert SmallGroups((lost,)).erased_share == 1
    json.dumps(SmallGroups((kept, lost)).to_json())


def test_groups_of_few_rows_and_small_releases_say_nothing():
    (few,) = group_shares(people(4000, 1), people(400, 0))
    assert "inconclusive" in str(few.reason)
    assert SmallGroups((few,)).erased_share is None
    (short,) = group_shares(people(40, 1, rare=0.0001), people(4000, 0))
    assert not short.is_erased  # no such row among 40 may be chance


def test_errors_rise_where_the_release_forgot_what_sets_a_group_apart():
    real, held = (
        people(4000, 0, rare=0.2, reversed_for_rare=True),
        people(4000, 1, rare=0.2, reversed_for_rare=True),
    )
    real["x_of_rare"] = real["x"] * (real["group"] == "rare")
    held["x_of_rare"] = held["x"] * (held["group"] == "rare")
    forgetful = real.assign(x_of_rare=0.0)
    worst, *_ = group_errors(forgetful, real, held, label="y")
    assert (worst.column, worst.group) == ("group", "rare")
    assert worst.excess > 0.5
    assert worst.interval[0] < worst.error < worst.interval[1]


def test_one_class_gives_nothing_and_unknown_names_are_refused():
    real = people(300, 0)
    assert group_errors(real.assign(y="yes"), real, real, label="y") == ()
    with pytest.raises(RecordsError, match="label"):
        group_errors(real, real, real, label="z")
    with pytest.raises(RecordsError, match="group columns"):
        group_shares(real, real, columns=["town"])
