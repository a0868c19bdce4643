from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from keshi.auditing import identification
from keshi.auditing.attackers import Naming
from keshi.censoring.encoded import CensoredEncoder
from keshi.censoring.training import Schedule
from keshi.cli.censor_budget import Choice, _Audit, strength_under_budget, write_choice
from keshi.records.windows import Recording, Windows, segment

STEPS = Schedule(
    pretrain_epochs=4, pretrain_rate=1e-2, rounds=3, iterations=4, batch_size=32, encoder_rate=1e-3
)


@pytest.fixture(autouse=True)
def short_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    """An attacker's epoch is one pass over the few rows here."""
    monkeypatch.setattr(identification, "SHORTEST_EPOCH", 1)


def simulated_windows() -> Windows:
    """Four people; the label swings slowly or fast, the person is an offset, weakly."""
    rng, time = np.random.default_rng(0), np.arange(80)
    recordings = [
        Recording(
            np.stack([np.sin((1 + label) * 0.8 * time), np.full(80, 0.2 * person)], axis=1)
            + rng.normal(size=(80, 2)) * 0.3,
            ["slow", "fast"][label],
            person,
            trial,
        )
        for person in range(4)
        for label in range(2)
        for trial in range(4)
    ]
    return segment(recordings, window=10, stride=5)


def test_more_noise_is_tried_where_no_strength_keeps_the_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def attacked(audit: object, encoder: CensoredEncoder, half: str) -> dict[str, Naming]:
        # so few windows would need much luck to show what the noise does
        return {"linear": Naming(0.95 if encoder.noise < 1 else 0.3, 0.0, 1.0, 1.0, 0.0)}

    monkeypatch.setattr(_Audit, "__call__", attacked)

    def chosen(**more: tuple[float, ...]) -> Choice:
        return strength_under_budget(
            simulated_windows(), tmp_path / "sweep", max_leak=0.9, method="maxent", split="trials", unknown=(),
            schedule=replace(STEPS, rounds=1, features=8, noise=0.1), strengths=(1.0,), hidden=(16,),
            attack_epochs=1, **more,
        )  # fmt: skip

    refused = chosen(louder=())
    assert refused.chosen is None
    assert {point["noise"] for point in refused.points} == {0.1}
    found = chosen(louder=(20.0, 40.0))  # goes on with the sweep that is there
    assert found.chosen is not None
    assert found.encoder is not None
    assert found.chosen["noise"] == found.encoder.noise == 2.0
    assert {point["noise"] for point in found.points} == {0.1, 2.0}


def choose(folder: Path, max_leak: float, **more: int) -> Choice:
    return strength_under_budget(
        simulated_windows(), folder, max_leak=max_leak, schedule=STEPS, strengths=(1.0,), split="trials",
        unknown=(), hidden=(16,), attack_epochs=10, **more,
    )  # fmt: skip


def test_an_encoder_of_another_seed_in_the_folder_is_not_chosen_as_it_has_met_what_is_held_out(
    tmp_path: Path,
) -> None:
    choose(tmp_path / "sweep", 0.05)
    again = choose(tmp_path / "sweep", 0.05, seed=1)
    assert {point["seed"] for point in again.points} == {1}
    assert len(again.points) == 1 + 3 + 3


def test_a_budget_kept_on_one_half_only_is_said_to_be_missed_on_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_report = 1.0
    monkeypatch.setattr(
        _Audit,
        "__call__",
        lambda audit, encoder, half: {
            "linear": Naming(0.3 if half == "_select" else on_report, 0.0, 1.0, 1.0, 0.0)
        },
    )
    said = "above the 0.99 asked for"
    assert any(said in line for line in choose(tmp_path / "sweep", 0.99).lines)
    on_report = 0.6
    assert not any(said in line for line in choose(tmp_path / "sweep", 0.99).lines)


def test_a_choice_is_written_where_the_strangers_have_one_recording_in_all(tmp_path: Path) -> None:
    windows = simulated_windows()
    first = windows.trial == windows.trial[windows.subject == 3].min()
    found = strength_under_budget(
        windows.take((windows.subject < 3) | first), tmp_path / "sweep", max_leak=0.99, schedule=STEPS,
        strengths=(1.0,), split="trials", unknown=(3,), rounds=1, hidden=(16,), attack_epochs=1,
    )  # fmt: skip
    write_choice(found, tmp_path / "run", overwrite=False, onnx=False)
    audit = json.loads((tmp_path / "run" / "private" / "audit.json").read_text())
    assert "f1_unknown_report" in audit["chosen"]
    assert "f1_unknown_select" not in audit["chosen"]


def test_the_most_useful_point_within_the_budget_is_chosen_and_a_budget_nobody_keeps_is_refused(
    tmp_path: Path,
) -> None:
    found = choose(tmp_path / "sweep", 0.99)
    assert found.chosen is not None
    within = [p for p in found.points if p["attacker_select"] <= 0.99]
    assert found.chosen["f1_known_select"] == max(p["f1_known_select"] for p in within)
    assert (
        len(found.points) == 1 + 3 + 3
    )  # the plain network, and three rounds at strength 1 and in the control
    assert set(found.attackers) == {"linear", "800-200", "5 nearest"}
    assert any("<- chosen" in line for line in found.lines)

    write_choice(found, tmp_path / "run", overwrite=False, onnx=False)
    audit = json.loads((tmp_path / "run" / "private" / "audit.json").read_text())
    assert audit["chosen"] == found.chosen
    x = simulated_windows().x
    released = CensoredEncoder.load(tmp_path / "run" / "release")
    assert found.encoder is not None
    np.testing.assert_array_equal(released.transform(x), found.encoder.transform(x))

    for budget, reason in ((0.05, "naming the most frequent person reaches"), (0.26, "no point keeps it")):
        refused = choose(tmp_path / "sweep", budget)  # trains nothing: the sweep is done
        assert refused.chosen is refused.encoder is None
        text = "\n".join(refused.lines)
        assert f"refused: at most {budget:g} was asked for, and {reason}" in text
        assert len(refused.lines) >= 1 + 7 + 1  # the whole curve is shown
