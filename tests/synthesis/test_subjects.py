"""Subject-level privacy: all records of one subject together move the embedding by at most its sensitivity."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keshi.errors import BudgetError, DomainError
from keshi.privacy import mechanisms
from keshi.privacy.unit import PrivacyUnit
from keshi.records.column_kinds import Categorical, Numerical
from keshi.records.domain import Domain
from keshi.synthesis.presets import PaperPreset
from keshi.synthesis.synthesizer import embed_table

DOMAIN = Domain({"x": Numerical(0, 1), "y": Categorical(("a", "b"))}, label="y")
PRESET = PaperPreset(frequencies=5)


def exact_sums(table, unit, monkeypatch):
    """Sums and blocks of both measurements, caught at the door; the plan's length-scale is pinned."""
    caught = []

    def catch(sums, blocks, **_):
        caught.append((sums.copy(), blocks))
        return np.zeros_like(sums)

    monkeypatch.setattr("keshi.synthesis.embedding.release", catch)
    embed_table(table, DOMAIN, PRESET, epsilon=1.0, delta=1e-5, unit=unit)
    return caught


def people(records):
    return pd.DataFrame(records, columns=["id", "x", "y"]).astype({"id": "str", "x": "float64", "y": "str"})


row = st.tuples(st.floats(0, 1), st.sampled_from("ab"))


@settings(max_examples=60)
@given(st.lists(row, min_size=1, max_size=9), st.none() | st.integers(1, 3))
def test_adding_a_subject_with_any_number_of_records_stays_within_the_sensitivity(records, max_records):
    others = [("s1", 0.2, "a"), ("s2", 0.9, "b")]  # one record each: no random choice hides the difference
    unit = PrivacyUnit("add-or-remove", "id", max_records)
    with pytest.MonkeyPatch.context() as patch:
        without = exact_sums(people(others), unit, patch)
        together = exact_sums(people([*others, *(("new", *r) for r in records)]), unit, patch)
    for (before, blocks), (after, _) in zip(without, together, strict=True):
        moves = np.split((after - before).astype(float), np.cumsum([block.size for block in blocks])[:-1])
        for block, moved in zip(blocks, moves, strict=True):
            assert 0 < np.linalg.norm(moved) <= block.sensitivity


def test_one_subject_with_many_records_counts_once():
    """1,000 rows of one subject and 50 of others: the noisy class counts see 51 subjects."""
    table = people([("hoarder", 0.5, "b")] * 1_000 + [(f"s{i}", 0.5, "a") for i in range(50)])
    unit = PrivacyUnit("add-or-remove", "id")
    embedding = embed_table(table, DOMAIN, PRESET, epsilon=10.0, delta=1e-5, unit=unit)
    assert embedding.count == pytest.approx(51, abs=40)  # noise std is about 3; as records it would be 1,050
    assert "one subject" in embedding.statement.sentence


def test_replacing_a_subject_states_the_number_of_subjects_as_public():
    table = people([("a", 0.1, "a"), ("a", 0.2, "b"), ("b", 0.3, "b")])
    embedding = embed_table(
        table, DOMAIN, PRESET, epsilon=1.0, delta=1e-5, unit=PrivacyUnit("replace-one", "id")
    )
    assert embedding.public_count == 2
    assert "the number of subjects" in embedding.statement.assumed_public


def test_the_subject_column_is_never_synthesized():
    with pytest.raises(DomainError, match="identifiers are never synthesized"):
        embed_table(
            people([("a", 0.1, "a")]),
            DOMAIN,
            PRESET,
            epsilon=1.0,
            delta=1e-5,
            unit=PrivacyUnit(subject="x"),
        )


def test_a_table_without_the_subject_column_is_refused_before_anything_is_spent(monkeypatch):
    monkeypatch.setattr(mechanisms, "discrete_gaussian", lambda *_: pytest.fail("noise was drawn"))
    with pytest.raises(DomainError, match="no subject column 'person'"):
        embed_table(
            people([("a", 0.1, "a")]),
            DOMAIN,
            PRESET,
            epsilon=1.0,
            delta=1e-5,
            unit=PrivacyUnit(subject="person"),
        )


def test_a_domain_that_names_a_ledger_is_not_embedded_without_it():
    named = DOMAIN.with_ledger("0" * 32)
    with pytest.raises(BudgetError, match="names the ledger 0000"):
        embed_table(
            people([("a", 0.1, "a")]).drop(columns="id"),
            named,
            PRESET,
            epsilon=1.0,
            delta=1e-5,
            unit=PrivacyUnit(),
        )
