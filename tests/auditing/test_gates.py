import numpy as np
import pandas as pd
import pytest

from keshi.auditing.gates import GATES_OF, check_gates, read_gates
from keshi.auditing.release_audit import audit_release


def people(rows, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rows)
    return pd.DataFrame({"x": x, "c": rng.choice(list("pqr"), rows), "y": np.where(x > 0, "yes", "no")})


def checked(made, limits, **options):
    audit = audit_release(made, people(900, 0), classifiers=("logistic_regression",), **options)
    return {one.name: one for one in check_gates(audit, limits)}


def test_limits_are_read_and_wrong_ones_named():
    assert read_gates(["risk=0.05", "auc_gap = 0.03"]) == {"risk": 0.05, "auc_gap": 0.03}
    for wrong in ("danger=0.1", "risk", "risk=high", "risk=-1", "risk=nan", "risk=2"):
        with pytest.raises(ValueError, match="NAME=LIMIT") as told:
            read_gates([wrong])
        assert repr(wrong) in str(told.value)
    with pytest.raises(ValueError, match="once a name"):
        read_gates(["risk=0.1", "risk=0.2"])


def test_a_copied_release_fails_every_privacy_gate_and_a_fresh_one_none():
    limits = dict.fromkeys(GATES_OF["table"], 0.1)
    held = people(900, 1)
    copied = checked(people(900, 0), limits, holdout=held, label="y")
    for name in ("risk", "attribute", "copies", "membership"):
        assert copied[name].verdict == "failed", name
        assert "above 0.1" in copied[name].reason
    fresh = checked(people(900, 2), limits, holdout=held, label="y")
    failed = [name for name, one in fresh.items() if one.verdict == "failed"]
    assert failed == []
    assert fresh["auc_gap"].verdict == "passed"


def test_a_useless_release_fails_the_gates_of_use():
    made = people(900, 2)
    made["y"] = np.where(made["y"] == "yes", "no", "yes")  # what is learnt from it is the wrong way round
    found = checked(made, {"auc_gap": 0.03, "two_way": 0.05}, holdout=people(800, 1), label="y")
    assert [one.verdict for one in found.values()] == ["failed", "failed"]


def test_what_cannot_be_told_is_inconclusive_with_its_reason():
    limits = {"risk": 0.05, "auc_gap": 0.03, "small_groups": 0.5}
    found = checked(people(900, 2), limits)
    assert {one.verdict for one in found.values()} == {"inconclusive"}
    assert "hold-out" in found["risk"].reason
    few = checked(people(900, 2), limits, holdout=people(60, 1), label="y")
    assert few["risk"].verdict == "inconclusive"
    assert "100 of each" in few["risk"].reason
    wide = checked(people(900, 2), {"linkability": 0.0001, "membership": 0.001}, holdout=people(500, 1))
    assert {one.verdict for one in wide.values()} <= {
        "inconclusive",
        "failed",
    }  # n is too small for such limits
