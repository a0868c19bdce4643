import json

import numpy as np
import pandas as pd
import pytest

from keshi.auditing.attribute import attribute_inference
from keshi.auditing.mixed_distance import encode_rows
from keshi.errors import RecordsError


def people(n, seed):
    rng = np.random.default_rng(seed)
    a = rng.normal(size=n)
    return pd.DataFrame(
        {"a": a, "b": rng.normal(size=n), "copy_of_a": a > 0, "ill": rng.choice(["no", "yes"], n)}
    )


def attacked(made, train, held, **options):
    real, other, ours = encode_rows([train, held], [made])
    found = attribute_inference(ours, real, other, **options)
    return {one.what: one for one in found.secrets}, found


def test_secrets_of_copied_people_are_guessed_and_those_of_strangers_are_not():
    train, held = people(400, 0), people(400, 1)
    found, whole = attacked(train, train, held)
    assert found["ill"].risk == pytest.approx(1)
    assert found["ill"].control_rate < 0.6
    assert whole.overall.interval()[0] > 0.5
    json.dumps(whole.to_json())


def test_what_the_population_tells_is_no_risk():
    found, _ = attacked(people(600, 2), people(400, 0), people(400, 1))
    rate = found["copy_of_a"]
    assert rate.train_rate > 0.8  # guessed well, of everybody
    assert rate.interval()[0] < 0


def test_the_guess_is_that_of_a_double_loop_over_the_known_columns():
    train, held, made = people(120, 0), people(120, 1), people(50, 2)
    real, other, ours = encode_rows([train, held], [made])
    found = attribute_inference(ours, real, other, secrets=["ill"], quasi_identifiers=["a", "copy_of_a"])
    right = 0
    for i in range(len(train)):
        distances = [
            abs(int(real.codes[0, i]) - int(ours.codes[0, j]))
            + 2**14 * (real.codes[2, i] != ours.codes[2, j])
            for j in range(50)
        ]
        right += made["ill"][int(np.argmin(distances))] == train["ill"][i]
    assert found.secrets[0].train_rate == pytest.approx(right / 120)
    assert found.quasi_identifiers == ("a", "copy_of_a")


def test_numbers_are_right_within_five_percent_of_the_people_and_missing_ones_only_by_missing():
    train = pd.DataFrame({"key": range(200), "pay": [*range(190), *[np.nan] * 10]})
    shifted = train.assign(pay=train["pay"] + 4)
    far = train.assign(pay=(train["pay"] + 95) % 190)
    assert attacked(shifted, train, train, secrets=["pay"])[0]["pay"].train_rate > 0.97
    assert attacked(far, train, train, secrets=["pay"])[0]["pay"].train_rate == pytest.approx(10 / 200)


def test_unknown_columns_and_nothing_to_know_are_refused():
    train = people(100, 0)
    with pytest.raises(RecordsError, match="no column 'salary'"):
        attacked(train, train, train, secrets=["salary"])
    with pytest.raises(RecordsError, match="known beside it"):
        attacked(train, train, train, secrets=["a"], quasi_identifiers=["a"])
