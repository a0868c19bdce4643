import json

import numpy as np
import pandas as pd
import pytest

from keshi.auditing.copies import copies
from keshi.auditing.mixed_distance import encode_rows


def people(n, seed):
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"a": rng.normal(size=n), "b": rng.normal(size=n), "c": rng.choice(list("xyz"), n)})


def counted(made, train, held):
    real, other, ours = encode_rows([train, held], [made])
    return copies(ours, real, other)


def test_five_percent_of_copied_rows_are_counted_and_flagged():
    train, held = people(1000, 0), people(1000, 1)
    made = pd.concat([people(950, 2), train[:50]])
    found = counted(made, train, held)
    assert found.exact.train_rate == 0.05
    assert found.exact.control_rate == 0
    assert found.exact.interval()[0] > 0.03
    assert found.synthetic_equal_to_train == 0.05
    json.dumps(found.to_json())


def test_near_copies_are_found_where_exact_ones_are_hidden():
    train, held = people(500, 0), people(500, 1)
    rng = np.random.default_rng(3)
    noise = train.assign(a=train["a"] + rng.normal(scale=1e-3, size=500))
    found = counted(noise, train, held)
    assert found.exact.train_rate < 0.5  # ranks of neighbours may coincide
    assert found.near.train_rate == 1
    assert found.near.is_leak(0.001)


def test_rows_that_everybody_has_are_no_leak():
    rng = np.random.default_rng(4)
    common = [pd.DataFrame({"c": rng.choice(list("xyz"), 400)}) for _ in range(3)]
    found = counted(*common)
    assert found.exact.train_rate == pytest.approx(1)
    assert found.exact.nothing_to_guess
    assert not found.exact.is_leak(0.05)
