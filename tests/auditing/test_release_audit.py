import json

import numpy as np
import pandas as pd
import pytest

from keshi.auditing.release_audit import audit_release
from keshi.errors import RecordsError


def people(rows, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rows)
    return pd.DataFrame(
        {
            "x": x,
            "<b>&": rng.choice(list("pqr"), rows),
            "code": rng.integers(1, 4, rows),
            "y": np.where(x > 0, 1, 0),
        }
    )


@pytest.fixture(scope="module")
def audit():
    train = people(600, 0)
    return audit_release(
        people(500, 1), train, holdout=people(600, 2), label="y", compare=train,
        categorical=["code"], classifiers=("logistic_regression",),
    )  # fmt: skip


def test_every_figure_stands_beside_both_yardsticks_and_the_second_release(audit):
    assert [one.name for one in audit.tables] == [
        "release", "second release", "real hold-out", "independent columns"
    ]  # fmt: skip
    assert [one.attacks.verdict for one in audit.tables][1] == "leak"
    assert audit.tables[2].attacks.verdict == "no leak found"
    figures = dict(audit.summary())
    pairs = figures["mean distance of a pair"]
    assert pairs[1] == 0
    assert pairs[0] < pairs[3]
    assert all(len(values) == 4 for values in figures.values())


def test_it_is_plain_json_and_a_page_for_a_notebook_whatever_columns_are_called(audit):
    text = json.dumps(audit.to_json())
    assert json.loads(text)["tables"][0]["attacks"]["verdict"] == audit.verdict
    page = audit._repr_html_()
    assert "do not publish" in page
    assert "mean distance of a pair" in page
    leaky = audit_release(people(300, 0), people(300, 0), holdout=people(300, 1))
    assert "&lt;b&gt;&amp;" in leaky._repr_html_()
    assert "<b>" not in leaky._repr_html_()


def test_without_a_holdout_privacy_is_inconclusive_and_the_note_says_why():
    found = audit_release(people(300, 1), people(300, 0))
    assert found.verdict == "inconclusive"
    assert found.release.attacks is None
    assert "No hold-out" in found.notes[0]
    assert "inconclusive" in found._repr_html_()


def test_the_same_seed_gives_the_same_figures():
    tables = people(300, 1), people(300, 0)
    one, two = (audit_release(*tables, holdout=people(300, 2)).to_json() for _ in range(2))
    assert json.dumps(one) == json.dumps(two)


def test_columns_that_differ_are_named():
    with pytest.raises(RecordsError, match="'code'"):
        audit_release(people(200, 1).drop(columns="code"), people(200, 0), holdout=people(200, 2))
