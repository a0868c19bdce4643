"""Sampling under conditions, from a stand-in generator whose shares are known, and from a trained one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from keshi.errors import ConditionError
from keshi.records.column_kinds import Categorical, Numerical
from keshi.records.constraints import Constraint
from keshi.records.domain import Domain
from keshi.synthesis.presets import PaperPreset
from keshi.synthesis.reconstruction import Schedule
from keshi.synthesis.sampling import SampleCount, Sampling, sample_batches
from keshi.synthesis.synthesizer import PearlSynthesizer
from keshi.synthesis.trained_generator import Generator

DOMAIN = Domain(
    {
        "age": Numerical(0, 100, integer=True),
        "job": Categorical(("clerk", "cook"), missing=True),
        "pay": Numerical(0, 1),
        "class": Categorical(("yes", "no", "maybe")),
    },
    label="class",
)
WEIGHTS = np.array([0.1, 0.6, 0.3])
BATCH = 1_000


class Draws:
    """Uniform columns; clerks are nine in ten of class "yes", and one in ten of the others."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(self, classes: torch.Tensor, randomness: torch.Generator) -> pd.DataFrame:
        n = len(classes)
        self.sizes.append(n)
        uniform = torch.rand(n, 4, generator=randomness).numpy()
        clerk = uniform[:, 0] < np.where(classes.numpy() == 0, 0.9, 0.1)
        jobs = np.where(clerk, "clerk", "cook").astype(object)
        jobs[uniform[:, 3] < 0.1] = None
        return pd.DataFrame(
            {
                "age": np.floor(uniform[:, 1] * 101).clip(0, 100).astype(np.int64),
                "job": pd.Series(jobs, dtype="str"),
                "pay": uniform[:, 2].astype(np.float64),
                "class": pd.Series(
                    np.array(["yes", "no", "maybe"], dtype=object)[classes.numpy()], dtype="str"
                ),
            }
        )


def sample(n: int, *, domain: Domain = DOMAIN, **options) -> tuple[pd.DataFrame, SampleCount, Draws]:
    draw, counts = Draws(), []
    batches = sample_batches(
        Sampling(n, **options), domain, WEIGHTS, draw, batch_rows=BATCH, count=counts.append
    )
    frames = list(batches)
    assert [len(frame) for frame in frames] == [BATCH] * (n // BATCH) + [n % BATCH] * (n % BATCH > 0)
    assert counts[-1].kept == n
    return pd.concat(frames, ignore_index=True), counts[-1], draw


def test_a_condition_on_the_label_chooses_classes_and_rejects_nothing() -> None:
    for where, classes in (
        ("class == 'yes'", {"yes"}),
        ("class in ['yes', 'maybe']", {"yes", "maybe"}),
        ("class != 'no' and not class == 'maybe'", {"yes"}),
    ):
        frame, count, _ = sample(2_500, where=where)
        assert set(frame["class"]) == classes
        assert count == SampleCount(2_500, 2_500)
    share = (sample(20_000, where="class in ['yes', 'maybe']")[0]["class"] == "yes").mean()
    assert abs(share - 0.25) < 6 * np.sqrt(0.25 * 0.75 / 20_000)


def test_rejection_gives_the_conditional_distribution_and_an_honest_count() -> None:
    n = 20_000
    frame, count, _ = sample(n, where="30 <= age < 50 and job == 'clerk'")
    assert frame["age"].between(30, 49).all()
    assert (frame["job"] == "clerk").all()
    # By Bayes: clerks are 0.1 * 0.9 + 0.9 * 0.1, half of them of class yes.
    assert abs((frame["class"] == "yes").mean() - 0.5) < 6 * np.sqrt(0.25 / n)
    met = 20 / 101 * 0.9 * 0.18
    assert abs(count.kept / count.drawn - met) < 6 * np.sqrt(met / count.drawn)
    assert "20,000 records of " in str(count)


def test_what_is_drawn_after_the_last_record_that_is_needed_is_not_counted() -> None:
    def draw(classes: torch.Tensor, randomness: torch.Generator) -> pd.DataFrame:
        return Draws()(classes, randomness).assign(age=np.arange(len(classes)) % 4)  # every fourth is 3

    counts: list[SampleCount] = []
    list(
        sample_batches(
            Sampling(3, where="age == 3"), DOMAIN, WEIGHTS, draw, batch_rows=BATCH, count=counts.append
        )
    )
    # 3 are drawn and none suits; of the next ones the fourth, the eighth and the twelfth.
    assert counts == [SampleCount(3, 15)]


def test_batches_are_never_larger_than_allowed_and_draws_are_not_wasted() -> None:
    _, count, draw = sample(3_000, where="age < 10")
    assert max(draw.sizes) <= BATCH
    assert count.drawn <= sum(draw.sizes) <= count.drawn + 4 * BATCH


def test_the_same_seed_repeats_the_records_and_another_does_not() -> None:
    options = {"where": "age < 10 or job is missing", "balance": "equal"}
    one, again = sample(1_500, seed=7, **options)[0], sample(1_500, seed=7, **options)[0]
    pd.testing.assert_frame_equal(one, again)
    assert not one.equals(sample(1_500, seed=8, **options)[0])


def test_a_balance_is_exact_in_all_and_nearly_so_in_every_batch() -> None:
    frame, count, _ = sample(2_501, balance="class: yes=0.5, no=0.25, maybe=0.25")
    assert frame["class"].value_counts().to_dict() == {"yes": 1_251, "no": 625, "maybe": 625}
    assert count.drawn == 2_501
    assert abs((frame["class"][:BATCH] == "yes").sum() - BATCH / 2) <= 1
    assert len(set(frame["class"][:50])) == 3  # not sorted by class


def test_balance_and_condition_work_together() -> None:
    frame, count, _ = sample(2_000, balance="equal", where="class != 'no' and job == 'clerk'")
    assert frame["class"].value_counts().to_dict() == {"yes": 1_000, "maybe": 1_000}
    assert (frame["job"] == "clerk").all()
    expected = 1_000 / 0.81 + 1_000 / 0.09
    assert abs(count.drawn - expected) < 6 * np.sqrt(1_000 * 0.91) / 0.09


def test_constraints_and_identifiers_hold_under_every_kind_of_sampling() -> None:
    domain = replace(
        DOMAIN,
        constraints=(
            Constraint("job is missing", given="age < 15"),
            Constraint("pay < 0.7", given="class == 'no'"),
        ),
        identifiers={"id": "sequence", "key": "uuid"},
    )
    for options in ({}, {"where": "age < 20"}, {"balance": "equal"}):
        frame, count, _ = sample(1_500, domain=domain, **options)
        assert frame["job"][frame["age"] < 15].isna().all()
        assert (frame["pay"][frame["class"] == "no"] < 0.7).all()
        assert frame["id"].tolist() == list(range(1, 1_501))
        assert frame["key"].nunique() == 1_500
        assert list(frame.columns) == ["id", "key", *domain.columns]
        assert count.drawn > count.kept  # those with too high a pay were drawn again


def test_classes_that_a_constraint_excludes_are_not_drawn() -> None:
    domain = replace(DOMAIN, constraints=(Constraint("class != 'maybe'"),))
    frame, count, _ = sample(1_000, domain=domain)
    assert set(frame["class"]) == {"yes", "no"}
    assert count.drawn == 1_000
    with pytest.raises(ConditionError, match="keep the domain's constraints"):
        sample(10, domain=domain, where="class == 'maybe'")


def test_a_condition_that_contradicts_itself_is_refused_before_anything_is_drawn() -> None:
    for where in (
        "job == 'clerk' and job == 'cook'",
        "age < 10 and age > 20",
        "class == 'yes' and class == 'no'",
        "age < 10 and not age <= 30",
    ):
        with pytest.raises(ConditionError, match="contradicts itself"):
            sample_batches(Sampling(10, where=where), DOMAIN, WEIGHTS, Draws(), batch_rows=BATCH)


def test_a_condition_that_is_met_too_rarely_is_given_up_with_the_number_found(monkeypatch) -> None:
    with pytest.raises(
        ConditionError, match=r"stopped at \d+ records of [\d,]+ drawn .*more than 5,000 draws"
    ):
        sample(1_000, where="pay < 0.01", most_draws=5_000)
    monkeypatch.setattr("keshi.synthesis.sampling.FRUITLESS_DRAWS", 10_000)
    with pytest.raises(
        ConditionError, match=r"0 records of 10,\d+ drawn \(0 %\).*of class 'yes' meet the condition"
    ):
        sample(1_000, where="pay == 0.123456789", balance="class: yes=1")


def test_a_class_that_the_generator_gives_no_share_can_still_be_asked_for() -> None:
    draw = Draws()
    batches = sample_batches(
        Sampling(10, where="class == 'yes'"), DOMAIN, np.array([0.0, 0.5, 0.5]), draw, batch_rows=BATCH
    )
    assert (next(batches)["class"] == "yes").all()


@pytest.mark.parametrize("options", [{"n": 0}, {"n": 5, "most_draws": 0}, {"n": 5, "seed": -1}])
def test_numbers_that_cannot_be_are_refused(options) -> None:
    with pytest.raises(ValueError, match="must be"):
        Sampling(**options)


def test_a_trained_generator_keeps_its_domain_after_saving(tmp_path) -> None:
    random = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "id": [f"customer {i}" for i in range(200)],
            "a": random.uniform(0, 9, 200),
            "b": random.uniform(0, 9, 200),
            "class": random.choice(["x", "y"], 200),
        }
    )
    domain = Domain(
        {"a": Numerical(0, 9), "b": Numerical(0, 9, missing=True), "class": Categorical(("x", "y"))},
        label="class",
        constraints=(Constraint("a <= b"),),
        identifiers={"id": "sequence"},
    )
    preset = PaperPreset(frequencies=10, schedule=Schedule(steps=4))
    synthesizer = PearlSynthesizer(domain=domain, preset=preset).fit(table)
    synthesizer.save(tmp_path / "g")
    drawn = Generator.load(tmp_path / "g").sample(500, where="class == 'x' or b is missing", balance="equal")
    assert list(drawn.columns) == ["id", "a", "b", "class"]
    assert (drawn["b"].isna() | (drawn["a"] <= drawn["b"])).all()
    assert drawn["class"].value_counts().to_dict() == {"x": 250, "y": 250}
    assert drawn["b"][drawn["class"] == "y"].isna().all()
    assert drawn["id"].tolist() == list(range(1, 501))
    assert "constraints" in synthesizer.statement.assumed_public[0]
    one, more = (
        synthesizer.sample(10, seed=3),
        synthesizer.sample(10, seed=3, where="a >= 0 and class in ['x', 'y']"),
    )
    pd.testing.assert_frame_equal(one, more)  # a condition that everything meets changes nothing


def test_more_records_than_a_64_bit_number_counts_are_refused():
    with pytest.raises(ValueError, match=r"below 2\^63"):
        Sampling(2**63)
