import numpy as np
import pandas as pd

from keshi.auditing.kept_extremes import kept_extremes


def people(seed, rows=500):
    random = np.random.default_rng(seed)
    return pd.DataFrame({"x": random.normal(size=rows), "top": random.poisson(3, rows).clip(0, 5)})


def clipped(train, seed):
    wide = np.random.default_rng(seed).normal(0, 3, len(train))
    return people(seed).assign(x=wide.clip(train["x"].min(), train["x"].max()))


def test_a_release_cut_at_the_training_extremes_is_noticed_and_fresh_people_are_not():
    train = people(0)
    found = kept_extremes(clipped(train, 1), train, people(2))
    assert {(one.column, one.end) for one in found} == {("x", "smallest"), ("x", "largest")}
    assert all(one.train_rows == 1 < one.synthetic_rows for one in found)
    for seed in range(3, 43, 2):
        assert kept_extremes(people(seed), train, people(seed + 1)) == ()


def test_an_extreme_that_heldout_people_share_is_a_fact_about_the_population():
    train, held = people(0), people(2)
    held.loc[0, "x"], held.loc[1, "x"] = train["x"].min(), train["x"].max()
    assert kept_extremes(clipped(train, 1), train, held) == ()
