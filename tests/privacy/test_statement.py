"""The promise in words is never stronger than the promise in numbers."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keshi.privacy.statement import PrivacyStatement


def statement(epsilon=1.0, delta=1e-5, remaining=0.0, ledger="a" * 32):
    return PrivacyStatement(
        epsilon=epsilon,
        delta=delta,
        unit="adding or removing one subject",
        mu=0.27,
        delta_slack=1e-11,
        measurements=("length-scale", "embedding"),
        remaining=remaining,
        ledger=ledger,
        ledger_head="",
        assumed_public=("the columns",),
    )


def test_the_sentence_reads_as_in_the_specification():
    assert statement().sentence == (
        "(1.00, 1e-05)-differential privacy for adding or removing one subject; 2 noisy measurements "
        "(length-scale, embedding); nothing of the budget remains."
    )


@given(st.floats(1e-12, 50) | st.just(1e300), st.floats(1e-12, 0.1))
def test_printed_epsilon_and_delta_are_never_below_the_true_ones(epsilon, delta):
    shown = re.match(r"\((\S+), (\S+)\)", statement(epsilon, delta).sentence)
    assert float(shown[1]) >= epsilon * (1 - 1e-12)
    assert float(shown[1]) <= max(epsilon * 1.01, epsilon + 0.01)
    assert delta * (1 - 1e-12) <= float(shown[2]) <= delta * 1.01


@pytest.mark.parametrize(
    ("remaining", "ledger", "words"),
    [
        (0.4, "a", "epsilon 0.4 of the budget remains"),
        (0.0, "a", "nothing of the budget remains"),
        (0.0, "", "no ledger kept"),
    ],
)
def test_the_sentence_says_what_remains(remaining, ledger, words):
    assert words in statement(remaining=remaining, ledger=ledger).sentence


def test_a_tiny_epsilon_is_printed_with_its_digits_and_what_remains_is_measured_by_it():
    assert statement(epsilon=1e-9).sentence.startswith("(1e-09, 1e-05)-")
    assert "epsilon 2e-09 of the budget remains" in statement(epsilon=1e-9, remaining=2e-9).sentence
    assert "nothing of the budget remains" in statement(epsilon=1e-9, remaining=1e-15).sentence


def test_it_comes_back_from_json():
    assert PrivacyStatement.from_dict(statement().to_dict()) == statement()


@pytest.mark.parametrize(("delta", "weak"), [(1e-3, False), (0.01, True)])
def test_a_large_delta_is_said_to_promise_little(delta, weak):
    assert ("publishing each record with probability 0.01" in statement(delta=delta).sentence) == weak
