import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from keshi.auditing.utility import (
    CLASSIFIERS,
    FAST,
    encode_features,
    roc_auc_interval,
    train_on_synthetic_test_on_real,
)
from keshi.auditing.yardsticks import independent_columns
from keshi.errors import RecordsError


def people(rows, seed, classes=("no", "yes")):
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 1, rows)
    city = rng.choice(list("abc"), rows).astype(object)
    score = x + (city == "a") + rng.normal(0, 0.5, rows)
    cuts = np.quantile(score, np.linspace(0, 1, len(classes) + 1)[1:-1] ** 0.5)
    city[rng.random(rows) < 0.03] = None
    x[rng.random(rows) < 0.03] = np.nan
    return pd.DataFrame({"x": x, "city": city, "y": np.array(classes)[np.searchsorted(cuts, score)]})


def test_each_classifier_learns_from_real_rows_and_nothing_from_independent_columns():
    train, test = people(3000, 0), people(1000, 1)
    real = train_on_synthetic_test_on_real(train, test, label="y")
    assert [s.classifier for s in real.scores] == list(CLASSIFIERS)
    assert real.positive == "yes"  # the rarer class
    for score in real.scores:
        low, high = score.roc_auc_interval
        assert 0.85 < low < score.roc_auc < high
    # one draw may rank along a strong column by chance, in either direction; the mean over draws is a coin's
    areas = [
        train_on_synthetic_test_on_real(
            independent_columns(train[:800], seed=seed), test, label="y", classifiers=("logistic_regression",)
        ).mean_roc_auc
        for seed in range(20)
    ]
    assert abs(np.mean(areas) - 0.5) < 0.2  # 20 areas of standard deviation 0.25: 3.5 standard errors
    assert real.mean_roc_auc == pytest.approx(np.mean([s.roc_auc for s in real.scores]))
    again = train_on_synthetic_test_on_real(train, test, label="y", classifiers=FAST[:1])
    assert again.scores[0].roc_auc == real.scores[0].roc_auc


def test_scores_come_from_probabilities_not_from_hard_labels():
    train, test = people(800, 2), people(600, 3)
    made = train_on_synthetic_test_on_real(train, test, label="y", classifiers=("logistic_regression",))
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import average_precision_score, roc_auc_score

    a, b = encode_features(train, test, label="y")
    model = LogisticRegression(max_iter=1000).fit(a, train["y"])
    belief = model.predict_proba(b)[:, 1]
    assert made.scores[0].roc_auc == pytest.approx(roc_auc_score(test["y"] == "yes", belief), abs=1e-6)
    expected = average_precision_score(test["y"] == "yes", belief)
    assert made.scores[0].average_precision == pytest.approx(expected, abs=1e-6)


def test_several_classes_are_averaged_one_against_the_rest_and_a_lost_class_counts_as_a_coin():
    train, test = people(900, 4, tuple("abc")), people(900, 5, tuple("abc"))
    whole = train_on_synthetic_test_on_real(train, test, label="y", classifiers=FAST[:1])
    lost = train_on_synthetic_test_on_real(train[train["y"] != "c"], test, label="y", classifiers=FAST[:1])
    assert whole.positive is None
    assert whole.classes == ("a", "b", "c")
    assert whole.mean_roc_auc > 0.8
    assert 0.5 < lost.mean_roc_auc < whole.mean_roc_auc - 0.05
    assert "lacks these classes: c" in lost.notes[0]


def test_one_class_in_the_synthetic_table_is_inconclusive_with_the_reason():
    test = people(300, 6)
    made = train_on_synthetic_test_on_real(test[test["y"] == "no"], test, label="y")
    assert not made.is_conclusive
    assert made.mean_average_precision is None
    assert all("holds 1 class" in score.reason for score in made.scores)


def test_a_class_with_one_row_spoils_only_the_classifiers_that_cannot_take_it():
    train, test = people(200, 7), people(300, 8)
    train = pd.concat([train[train["y"] == "no"], train[train["y"] == "yes"].head(1)])
    made = train_on_synthetic_test_on_real(
        train, test, label="y", classifiers=("logistic_regression", "mlp", "random_forest")
    )
    regression, mlp, forest = made.scores
    assert regression.roc_auc is not None
    assert forest.roc_auc is not None
    assert mlp.roc_auc is None
    assert "could not be trained" in mlp.reason
    assert made.mean_roc_auc is None  # a mean over fewer classifiers would be another figure


def test_too_few_test_rows_of_a_class_are_inconclusive():
    train, test = people(200, 9), people(300, 10)
    test = pd.concat([test[test["y"] == "no"], test[test["y"] == "yes"].head(4)])
    made = train_on_synthetic_test_on_real(train, test, label="y", classifiers=FAST)
    assert "4 test rows of class yes" in made.scores[0].reason


def test_the_test_table_never_shapes_the_features():
    train, test = people(50, 11), people(50, 12)
    odd = test.assign(x=test["x"] * 1000, city="unheard of")
    assert np.array_equal(
        encode_features(train, test, label="y")[0], encode_features(train, odd, label="y")[0]
    )
    unknown = encode_features(train, odd, label="y")[1][:, -4:]
    assert not unknown.any()  # no category of the training table is claimed for an unknown one


def test_missing_numbers_get_an_indicator_and_text_among_numbers_is_missing():
    train = pd.DataFrame({"x": ["1", "oops", None], "y": ["a", "b", "a"]})
    test = pd.DataFrame({"x": [1.0, 3.0, np.nan], "y": ["a", "b", "a"]})
    features, _ = encode_features(train, test, label="y")
    assert features[:, 1].tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": "z"}, "no label column 'z'"),
        ({"label": "x"}, "values in the real test table"),
        ({"classifiers": ("oracle",)}, "classifiers must be one of"),
        ({"positive": "maybe"}, "positive must be one of"),
    ],
)
def test_wrong_input_is_refused_with_what_to_do(change, message):
    table = people(200, 13)
    with pytest.raises(ValueError, match=message):
        train_on_synthetic_test_on_real(table, table, **({"label": "y"} | change))


def test_a_table_of_labels_alone_is_refused():
    table = pd.DataFrame({"y": ["a", "b"] * 20})
    with pytest.raises(RecordsError, match="no column beside"):
        train_on_synthetic_test_on_real(table, table, label="y")


def test_the_interval_covers_the_true_area_about_as_often_as_it_says():
    # two normal classes one deviation apart have ROC-AUC Phi(1/sqrt 2) = 0.7602
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    hits, tries = 0, 400
    truth = np.repeat([False, True], [120, 60])
    for _ in range(tries):
        low, high = roc_auc_interval(roc_auc_score(truth, rng.normal(truth, 1.0)), 60, 120)
        hits += low <= 0.7602 <= high
    assert 0.90 <= hits / tries <= 0.985


@pytest.mark.skipif("KESHI_DATA" not in os.environ, reason="KESHI_DATA names no folder with the real data")
def test_logistic_regression_reaches_its_known_area_on_adult():
    from keshi.datasets.adult import load_adult

    adult = load_adult(Path(os.environ["KESHI_DATA"], "adult"))
    made = train_on_synthetic_test_on_real(
        adult.train, adult.test, label="income", classifiers=("logistic_regression",)
    )
    assert made.mean_roc_auc == pytest.approx(0.904, abs=0.002)
