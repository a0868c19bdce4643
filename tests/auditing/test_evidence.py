"""One verdict for audits, gates and pages: planted defects of the release, and of the hold-out."""

import json
from dataclasses import replace

import auditor
import numpy as np
import pandas as pd
import pytest

from keshi.auditing.array_audit import audit_arrays
from keshi.auditing.array_sets import ArraySet
from keshi.auditing.controlled_rate import controlled_rate
from keshi.auditing.copies import EXACT, row_keys
from keshi.auditing.evidence import table_evidence
from keshi.auditing.gates import check_gates
from keshi.auditing.holdout_overlap import holdout_overlap
from keshi.auditing.mixed_distance import encode_rows
from keshi.auditing.release_audit import audit_release
from keshi.auditing.small_groups import GroupShare, SmallGroups
from keshi.reports.attack_sections import gates_section, groups_section, verdict_sentence
from keshi.reports.report import Report, report_html, report_json


def test_bounds_read_from_the_records_are_a_leak_in_verdict_json_gates_and_sentence():
    train, made, held = auditor.bounds_from_the_data(1)
    found = audit_release(made, train, holdout=held, targets=300)
    assert found.verdict == found.to_json()["verdict"] == "leak"
    assert "bounds were read from the records" in "".join(found.to_json()["leaks"])
    assert "bounds were read from the records" in verdict_sentence(found)
    assert check_gates(found, {"leak": 0})[0].verdict == "failed"
    json.dumps(found.to_json())


def with_part_of(held, train, share):
    count = round(share * len(held))
    return pd.concat([held[count:], train[:count]])


@pytest.mark.parametrize(
    ("share_of_train", "release"), [(1.0, "train"), (0.5, "a fifth of train"), (0.0, "train and hold-out")]
)
def test_a_holdout_that_shares_records_makes_silence_inconclusive(share_of_train, release):
    train, made, held = auditor.three(2)
    held = with_part_of(held, train, share_of_train)
    made = {
        "train": train,
        "a fifth of train": pd.concat([made[200:], train[:200]]),
        "train and hold-out": pd.concat([train, held]),
    }[release]
    found = table_evidence(made, train, held, targets=300)
    assert found.verdict == "inconclusive", found.leaks
    assert "So a leak can hide" in found.doubts[0]


def test_common_records_that_meet_by_chance_are_no_overlap():
    alarms = 0
    for seed in range(30):
        for columns in (["job", "sex", "rich"], ["x", "job", "sex", "rich"]):
            tables = [part[columns].round({"x": 0}) for part in auditor.three(seed)]
            real, held, made = (
                row_keys(one.codes.T) for one in encode_rows([tables[0], tables[2]], [tables[1]])
            )
            alarms += holdout_overlap(made, real, held, seed=seed).note is not None
    assert alarms <= 3  # binomial(60, .01): more in 1 of 400


def test_pictures_in_train_and_holdout_are_noticed():
    real, fresh = auditor.pictures(400, 0), auditor.pictures(400, 1)
    found = audit_arrays(ArraySet(fresh), ArraySet(real), holdout=ArraySet(real))
    assert found.verdict == "inconclusive"
    assert "hold-out holds training records" in found.doubts[0]


def test_a_leak_is_no_silent_pass_of_a_gate():
    train, _, held = auditor.three(3)
    odd = train["x"].abs().nlargest(12).index
    made = pd.concat([auditor.people(ROWS - 12, 77), train.loc[odd]])
    found = audit_release(made, train, holdout=held, targets=1000)
    assert found.verdict == "leak"
    risk, leak = check_gates(found, {"risk": 0.4, "leak": 0})
    assert (risk.verdict, leak.verdict) == ("passed", "failed")
    assert "a leak was found" in risk.reason
    assert "leak was found" in gates_section([risk]).highlights[0][2]


ROWS = auditor.ROWS


def test_the_gate_of_risk_looks_at_membership_of_pictures_too():
    train, held = auditor.pictures(800, 0), auditor.pictures(800, 2)
    near = np.clip(train + np.random.default_rng(0).normal(0, 0.09, train.shape), 0, 1).astype(np.float32)
    found = audit_arrays(ArraySet(near), ArraySet(train), holdout=ArraySet(held))
    assert found.verdict == "leak"
    assert found.release.attacks.copies.near.risk < 0.05
    (gate,) = check_gates(found, {"risk": 0.05})
    assert gate.verdict == "failed"


def test_drift_alone_is_no_leak_and_a_copy_under_drift_is():
    train, made, held = auditor.other_year(4)
    assert table_evidence(made, train, held, targets=300).verdict == "inconclusive"
    assert table_evidence(train, train, held, targets=300).verdict == "leak"


def test_a_release_of_a_few_rows_is_not_called_clean():
    train, made, held = auditor.three(5)
    found = table_evidence(made[:1], train, held, targets=300)
    assert found.verdict == "inconclusive"
    assert "1 record" in found.doubts[0]
    clean = replace(found, attacks=table_evidence(made, train, held, targets=300).attacks)
    assert clean.verdict == "no leak found"


def test_a_risk_far_below_0_is_shown_as_chance_and_a_long_list_of_groups_is_cut():
    rate = controlled_rate(EXACT, np.zeros(500, dtype=bool), np.arange(500) < 485)
    assert rate.risk < -10
    attacks = replace(table_evidence(*(auditor.three(6)[i] for i in (1, 0, 2)), targets=200).attacks)
    attacks = replace(attacks, copies=replace(attacks.copies, exact=rate))
    assert attacks.main_figures()["exact copies, risk"] == -1
    shares = tuple(GroupShare("c", str(i), 40, 0.01, 0.01, (0.5, 2.0)) for i in range(50))
    (table,) = groups_section(SmallGroups(shares)).tables
    page = Report("t", sections=[groups_section(SmallGroups(shares))])
    assert len(table.rows) == len(report_json(page)["sections"][0]["tables"][0]["rows"]) == 50
    assert report_html(page).count('<th scope="row">c = ') == 20
    assert "20 of 50" in table.caption


def test_a_leak_is_told_in_the_colour_of_a_warning():
    assert "found alarm" in report_html(Report("t", found="LEAK, beyond chance: copies."))
    calm = report_html(Report("t", found="No leak found."))
    assert 'class="found"' in calm
    assert '"scroll tall"' not in calm
