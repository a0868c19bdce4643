from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from keshi.reports.sweep import claims_table, write_sweep_report
from keshi.reports.sweep_charts import learning_chart
from keshi.reports.sweep_claims import PENDING, Finding, findings

MEASURES = ("f1_known", "f1_unknown", "attacker")


def invented(
    method: str,
    strength: float,
    f1: list[float],
    attacker: list[float],
    *,
    seed: int = 0,
    reported: list[float] | None = None,
) -> dict:
    """A line of results whose halves agree, but for the attacker that `reported` gives the half to report on."""
    points = []
    for number, (f, leak) in enumerate(zip(f1, attacker, strict=True)):
        values = dict(zip(MEASURES, (f, f - 0.2, leak), strict=True))
        point = {name + half: value for name, value in values.items() for half in ("", "_select", "_report")}
        if reported is not None:
            point["attacker_report"] = reported[number]
        full = {"full_accuracy": leak, "full_lower": leak - 0.01, "full_upper": leak + 0.01}
        points.append({"round": number + 1, **point, **full, "full_trial_accuracy": 1.0})
    return {
        "fingerprint": "one plan",
        "cell": {"method": method, "strength": strength, "seed": seed},
        "points": points,
        "controls": {"majority": 0.14, "softmax_only": 0.3, "raw_window": 0.7} if method == "cnn" else {},
    }


def seeds(method: str, strength: float, f1: float, attacker: list[float]) -> list[dict]:
    return [invented(method, strength, [f1], [leak], seed=seed) for seed, leak in enumerate(attacker)]


RESULTS = [
    invented("cnn", 0.0, [0.80], [0.50]),
    invented("afl-mlp", 1.0, [0.80, 0.78], [0.48, 0.45]),
    invented("afl-dnn", 1.0, [0.80, 0.78], [0.47, 0.44]),
    invented("sct", 1.0, [0.81, 0.79], [0.40, 0.35]),
    invented("sct", 0.0, [0.81, 0.79], [0.30, 0.25]),
]


def finding(results: list[dict], claim: str, axis: str = "known", *, seeds: int = 1) -> Finding:
    return next(one for one in findings(results) if (one.claim, one.axis, one.seeds) == (claim, axis, seeds))


def test_claims_are_read_off_the_envelopes() -> None:
    table = claims_table(RESULTS)
    assert "| sct at least as good as AFL | known | afl-dnn | 1 | 1 | -0.0" in table
    assert (
        "| sct better than its control * | known | control | 1 | 1 | +0.100 (+0.080 to +0.120, recordings)"
        in table
    )
    assert (
        "| sct keeps or raises F1 of unknown people | unknown | cnn | 1 | 1 | -0.010 (one seed) | – | open |"
        in table
    )
    assert "majority 0.140" in table
    # 0.25 of the controls does not count as the method's, 0.35 does
    assert "plain network's F1 is 0.350 (sct at strength 1, round 2)" in table
    assert "the probabilities are the better release" in table
    assert finding(RESULTS, "sct at least as good as AFL").verdict == "yes"
    assert finding(RESULTS, "sct better than its control").verdict == "no"


def test_what_is_not_measured_is_said_to_be_so_unless_what_is_measured_contradicts_already() -> None:
    pending = next(one for one in findings(RESULTS) if one.claim == "lsm at least as good as AFL")
    assert (pending.verdict, pending.gap) == (PENDING, None)
    assert (
        next(one for one in findings(RESULTS) if one.claim == "sct best of all").verdict == PENDING
    )  # no lsm
    lsm = [*RESULTS[:1], *RESULTS[3:], invented("lsm", 1.0, [0.81, 0.79], [0.20, 0.15])]
    assert finding(lsm, "sct best of all").verdict == "no"
    assert findings(RESULTS[:1])[0].verdict == PENDING
    assert {one.verdict for one in findings(RESULTS[1:])} <= {PENDING, "open"}  # no plain network yet


def test_a_verdict_before_all_planned_strengths_are_there_is_one_for_the_time_being() -> None:
    found = findings(RESULTS, planned=(0.0, 0.5, 1.0))
    assert not next(one for one in found if one.claim == "sct better than its control").complete
    assert "| no so far |" in claims_table(RESULTS, found)
    assert "so far |" not in claims_table(RESULTS, findings(RESULTS, planned=(1.0,)))


def test_points_are_chosen_on_one_half_and_compared_on_the_other() -> None:
    lucky = invented("sct", 1.0, [0.80, 0.80], [0.30, 0.40], reported=[0.45, 0.40])
    honest = invented("sct", 0.0, [0.80], [0.42])
    found = finding([RESULTS[0], lucky, honest], "sct better than its control")
    assert found.gap == pytest.approx(0.45 - 0.42)  # not 0.30, and not the other point's 0.40


def test_the_order_in_which_cells_finished_changes_nothing() -> None:
    further = [*seeds("cnn", 0.0, 0.8, [0.5, 0.5])[1:], *seeds("sct", 1.0, 0.8, [0.4, 0.4])[1:]]
    further[0]["controls"]["softmax_only"] = 0.9  # of another seed than the one that is told
    one, other = [*RESULTS, *further], [*further, *reversed(RESULTS)]
    assert claims_table(one) == claims_table(other)
    drawn = [learning_chart(results, "attacker", "leak") for results in (RESULTS, RESULTS[::-1])]
    assert re.sub(r"\bf\d+-", "", drawn[0]) == re.sub(r"\bf\d+-", "", drawn[1])  # ids count the pictures


def test_intervals_over_seeds_decide() -> None:
    plain = seeds("cnn", 0.0, 0.8, [0.5, 0.5, 0.5])
    control = seeds("sct", 0.0, 0.8, [0.50, 0.51, 0.49])
    clear = [*plain, *control, *seeds("sct", 1.0, 0.8, [0.40, 0.41, 0.40])]
    found = finding(clear, "sct better than its control", seeds=3)
    gaps = (-0.10, -0.10, -0.09)
    half = 4.303 * 0.005773503 / 3**0.5
    assert found.gap == pytest.approx(sum(gaps) / 3)
    assert found.upper == pytest.approx(sum(gaps) / 3 + half)
    assert (found.verdict, found.interval) == ("yes", "seeds")
    scattered = [*plain, *control, *seeds("sct", 1.0, 0.8, [0.40, 0.50, 0.49])]
    assert finding(scattered, "sct better than its control", seeds=3).verdict == "open"


def test_who_never_keeps_the_f1_cannot_be_better_and_who_does_is() -> None:
    lost = [*RESULTS[:1], invented("afl-mlp", 1.0, [0.4], [0.2]), invented("afl-dnn", 1.0, [0.4], [0.2])]
    kept = finding([*lost, *RESULTS[3:]], "sct at least as good as AFL")
    assert kept.verdict == "yes"
    assert "| afl-mlp never keeps so much F1 |" in claims_table([*lost, *RESULTS[3:]])
    bad = [RESULTS[0], *RESULTS[1:3], invented("sct", 1.0, [0.4], [0.1])]
    assert finding(bad, "sct at least as good as AFL").verdict == "no"
    neither = finding([*lost, invented("sct", 1.0, [0.4], [0.1])], "sct at least as good as AFL")
    assert neither.verdict == "open"
    assert "not both keep so much F1" in claims_table([*lost, invented("sct", 1.0, [0.4], [0.1])])


def test_the_pictures_name_every_method_and_control_and_the_json_is_strict(tmp_path: Path) -> None:
    results = [*RESULTS, invented("lsm", 1.0, [0.3], [0.2])]
    written = write_sweep_report(results, tmp_path)
    picture = (tmp_path / "trade_off_unknown.svg").read_text()
    for name in ("afl-mlp", "afl-dnn", "sct", "lsm", "controls, strength 0", "plain network", "raw window* 0.70",
                 "softmax only* 0.30", "guessing 0.14", "on the left edge: 1 points"):  # fmt: skip
        assert name in picture, name
    assert "sct, control" in (tmp_path / "learning_attacker.svg").read_text()

    def no_constant(name: str) -> None:
        raise ValueError(name)

    claims = json.loads((tmp_path / "claims.json").read_text(), parse_constant=no_constant)
    assert "sct at 0, 1 (seed 0)" in claims["measured"]
    assert {one["claim"] for one in claims["claims"]} >= {"sct best of all", "lsm like sct for known people"}
    assert len(written) == 9


def test_without_strangers_there_are_figures_of_known_people_alone(tmp_path: Path) -> None:
    known = [
        {**line, "points": [{k: v for k, v in p.items() if "unknown" not in k} for p in line["points"]]}
        for line in RESULTS
    ]
    written = {file.name for file in write_sweep_report(known, tmp_path)}
    assert "trade_off_known.svg" in written
    assert not any("unknown" in name for name in written)
    kept = "sct keeps or raises F1 of unknown people"
    assert next(one.verdict for one in findings(known) if one.claim == kept) == PENDING
    assert (
        finding(known, "sct at least as good as AFL").verdict
        == finding(RESULTS, "sct at least as good as AFL").verdict
    )


def test_no_finished_cell_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no finished cell yet"):
        write_sweep_report([], tmp_path)
