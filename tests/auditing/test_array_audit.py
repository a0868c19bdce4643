import json

import numpy as np
import pytest

from keshi.auditing.array_audit import audit_arrays
from keshi.auditing.array_features import Extractor, learnt_extractor
from keshi.auditing.array_sets import ArraySet
from keshi.auditing.array_utility import LOGISTIC
from keshi.auditing.gates import check_gates, read_gates
from keshi.reports.array_audit import array_audit_report
from keshi.reports.report import plain, report_html


def bars(rows, seed):
    """Pictures of an upright or a lying bar, with noise: two classes."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, rows)
    records = random.normal(60, 20, (rows, 6, 6))
    place = random.integers(0, 6, rows)
    for row in range(rows):
        records[(row, slice(None), place[row]) if labels[row] else (row, place[row])] += 120
    records[:, 0, 0] += 100 * labels  # so that a linear classifier learns them too
    return ArraySet(np.clip(records, 0, 255).astype(np.uint8), labels)


@pytest.fixture(scope="module")
def audit():
    train = bars(500, 0)
    return audit_arrays(bars(500, 1), train, holdout=bars(500, 2), compare=train, classifiers=(LOGISTIC,))


def test_fresh_pictures_are_no_leak_and_the_copies_beside_them_are(audit):
    assert audit.verdict == "no leak found"
    assert audit.compared.attacks.verdict == "leak"
    assert [one.name for one in audit.tables] == ["release", "second release", "real hold-out", "class means"]
    figures = dict(audit.summary())
    assert figures["exact copies, risk"][1] == pytest.approx(1.0)
    assert figures["nearer to training than to held-out records, share"][1] == 1.0
    release, _, held, cheapest = figures["Frechet distance"]
    assert cheapest > 3 * max(release, held)
    assert figures["mean accuracy, tested on real records"][0] > 0.9


def test_distances_come_with_their_extractor_and_intervals(audit):
    assert "learnt from 250 real records" in audit.extractor
    assert audit.extractor_accuracy > 0.9
    far = audit.release.distances
    assert far.frechet_interval[0] <= far.frechet <= far.frechet_interval[1]
    assert far.kernel.lower < far.kernel.upper
    json.dumps(plain(audit.to_json()), allow_nan=False)
    assert "no leak found" in audit._repr_html_()


def test_gates_of_arrays_are_checked_and_those_of_tables_refused(audit):
    found = check_gates(audit, read_gates(["copies=0.05", "accuracy_gap=0.05"], kind="arrays"))
    assert {one.verdict for one in found} == {"passed"}
    with pytest.raises(ValueError, match="images or windows"):
        read_gates(["auc_gap=0.1"], kind="arrays")


def test_the_page_shows_the_nearest_pictures_and_says_what_was_found_first(audit):
    page = report_html(array_audit_report(audit, real=bars(500, 0), made=bars(500, 1), images=True))
    assert page.index("What was found") < page.index("At a glance")
    for text in ("Nearest real records", "class means", "perceptron 36-128-64", "What this does not protect"):
        assert text in page


def test_without_a_holdout_and_without_labels_it_says_what_is_missing():
    made, train = ArraySet(bars(150, 1).records), ArraySet(bars(150, 0).records)
    found = audit_arrays(made, train)
    assert found.verdict == "inconclusive"
    assert any("No hold-out" in note for note in found.notes)
    assert any("Distances need 100" in note for note in found.notes)
    assert found.release.distances is None
    assert "principal components" in found.extractor
    (gate,) = check_gates(found, {"risk": 0.05})
    assert gate.verdict == "inconclusive"


def test_a_holdout_of_another_population_is_noticed():
    held = bars(600, 2)
    darker = ArraySet(held.records // 2, held.labels)
    found = audit_arrays(bars(600, 1), bars(1200, 0), holdout=darker, classifiers=(LOGISTIC,))
    assert found.check.differs
    assert "differs from the training records" in found.check.note


def test_a_users_own_extractor_and_features_are_taken():
    train, made, held = bars(150, 0), bars(150, 1), bars(150, 2)
    own = Extractor("row sums", lambda some: some.sum(axis=2))
    assert audit_arrays(made, train, holdout=held, extractor=own, classifiers=()).extractor == "row sums"
    sets = [
        ArraySet(one.records, one.labels, one.records.reshape(150, -1)[:, :3]) for one in (made, train, held)
    ]
    found = audit_arrays(sets[0], sets[1], holdout=sets[2], classifiers=())
    assert "came with the records" in found.extractor
    assert found.release.distances.rows == 150


def test_an_extractor_is_the_same_for_the_same_seed():
    some = bars(200, 0)
    records, labels = some.records / np.float32(255), some.labels.astype(str)
    one, two = (learnt_extractor(records, labels, seed=3).extract(records[:5]) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert one.shape == (5, 64)
