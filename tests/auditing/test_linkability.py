import numpy as np
import pandas as pd
import pytest

from keshi.auditing.linkability import linkability
from keshi.auditing.mixed_distance import encode_rows
from keshi.errors import RecordsError


def people(n, seed):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(rng.normal(size=(n, 4)), columns=list("abcd"))


def test_halves_of_copied_people_meet_and_those_of_strangers_do_not():
    real, held, made = encode_rows([people(300, 0), people(300, 1)], [people(300, 0)])
    found = linkability(made, real, held)
    assert found.train_rate == 1
    assert found.control_rate < 0.05


def test_tied_records_meet_with_the_probability_of_their_overlap():
    # 10 synthetic rows tie on x, 4 of them and no others tie on y: 4 of 10
    made = pd.DataFrame({"x": ["p"] * 10 + ["q"] * 20, "y": ["u"] * 4 + ["v"] * 26})
    target = pd.DataFrame({"x": ["p"], "y": ["u"]})
    real, held, ours = encode_rows([target, target], [made])
    random = np.random.default_rng(0)
    shares = [linkability(ours.take(random.permutation(30)), real, held).train_rate for _ in range(400)]
    assert np.mean(shares) == pytest.approx(0.4, abs=0.1)  # 4 standard errors of 400 coins


@pytest.mark.parametrize(("first", "second"), [(["a"], ["a", "b"]), ([], ["b"]), (["a"], ["z"])])
def test_sets_that_overlap_are_empty_or_unknown_are_refused(first, second):
    real, held, made = encode_rows([people(9, 0), people(9, 1)], [people(9, 2)])
    with pytest.raises(RecordsError, match="disjoint"):
        linkability(made, real, held, first=first, second=second)
