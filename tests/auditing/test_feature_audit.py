import json

import numpy as np
import pytest

from keshi.auditing.feature_audit import FeatureAudit, _held_out, audit_features
from keshi.auditing.identification import Identification, trial_interval
from keshi.auditing.release_attacks import FALSE_ALARM
from keshi.errors import RecordsError


@pytest.fixture(autouse=True)
def three_small_attackers(monkeypatch):
    """The large one and the trees take most of the seconds and find nothing else here."""
    monkeypatch.setattr("keshi.auditing.feature_audit.NETWORKS", {"linear": (), "60": (60,)})
    monkeypatch.setattr("keshi.auditing.feature_audit.OTHERS", ("15 nearest",))


def windows(*, telling, trials=10, people=6, rows=12, seed=0):
    """Features of `people` with `trials` recordings of `rows` windows each; a label says the sign of a column."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(people), trials * rows)
    recording = np.tile(np.repeat(np.arange(trials), rows), people)  # trial 0 of everybody has the same name
    z = rng.normal(size=(len(who), 4)).astype(np.float32)
    z[:, 0] += telling * who
    return z, who, np.where(z[:, 1] > 0, "up", "down"), recording


def test_features_that_tell_the_person_are_a_leak_and_those_that_do_not_are_none():
    z, who, label, recording = windows(telling=3.0, trials=20, rows=6)
    found = audit_features(z, who, label=label, trial=recording, max_epochs=3)
    assert found.verdict == "leak"
    assert found.worst[1].accuracy > 0.7
    assert found.label_macro_f1 > 0.9
    assert set(found.attackers) == {"linear", "60", "15 nearest"}
    assert found.attackers["15 nearest"].accuracy > 0.6
    # strangers lie further from each other than two windows of one of them
    assert found.verification.eer < 0.3
    assert found.verification.people == 2
    json.dumps(found.to_json())
    z, who, label, recording = windows(telling=0.0, trials=20, rows=6)
    blind = audit_features(z, who, label=label, trial=recording, max_epochs=3)
    assert blind.verdict == "no leak found"
    assert blind.worst[1].accuracy < 0.3
    assert abs(blind.verification.eer - 0.5) < 0.1


def test_an_attacker_above_the_floor_at_95_percent_only_is_no_leak_where_several_are_tried():
    right = np.random.default_rng(0).random(400) < 0.145
    lower, upper, least = trial_interval(right, None, beside=(FALSE_ALARM / 3,))
    assert least < lower < right.mean() < upper
    one = Identification(right.mean(), lower, upper, 0.1, np.nan, 0.0, 1, 10, 400, least)
    floor = (least + lower) / 2
    found = FeatureAudit(dict.fromkeys("abc", one), floor, None, None, 10, 900, 400, 400)
    assert found.verdict == "no leak found"
    assert (
        FeatureAudit(dict.fromkeys("abc", one), least - 0.01, None, None, 10, 900, 400, 400).verdict == "leak"
    )


def test_few_held_out_trials_are_inconclusive():
    z, who, _, recording = windows(telling=3.0, trials=3)
    found = audit_features(z, who, trial=recording, max_epochs=2)
    assert found.verdict == "inconclusive"
    assert "6 trials" in found.reason


def test_whole_recordings_are_held_out_and_everybody_is_in_both_parts():
    _, who, _, recording = windows(telling=0.0)
    whole = recording * 6 + who
    held = _held_out(who, whole, test_share=0.25, seed=0)
    assert not set(whole[held]) & set(whole[~held])
    assert set(who[held]) == set(who[~held]) == set(range(6))
    assert 0.15 < held.mean() < 0.35


def test_one_trial_a_person_is_refused():
    z, who, _, recording = windows(telling=1.0, trials=1)
    with pytest.raises(RecordsError, match="2 trials each"):
        audit_features(z, who, trial=recording)


@pytest.mark.parametrize("time_last", [True, False])
def test_raw_windows_bring_the_attacker_on_the_sensor_s_offset(time_last):
    z, who, _, recording = windows(telling=0.0, trials=20, rows=4)
    rng = np.random.default_rng(1)
    offset = np.random.default_rng(2).normal(size=(6, 3))[who]
    raw = offset[:, :, None] + rng.normal(size=(len(who), 3, 8))
    leaking = np.c_[z, offset @ rng.normal(size=(3, 3)) + 0.1 * rng.normal(size=(len(who), 3))]
    raw = raw if time_last else raw.transpose(0, 2, 1)
    found = audit_features(leaking, who, trial=recording, raw=raw, max_epochs=1)
    blind = audit_features(z, who, trial=recording, raw=raw, max_epochs=1)
    assert found.attackers["sensor offset"].accuracy > 0.9
    assert blind.attackers["sensor offset"].accuracy < 0.35
    assert "sensor offset" not in audit_features(z, who, trial=recording, max_epochs=1).attackers
