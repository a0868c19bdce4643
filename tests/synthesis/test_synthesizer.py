from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from keshi.errors import ArtifactError, BudgetError, DomainError, NotFittedError, RecordsError
from keshi.privacy.ledger import PrivacyLedger
from keshi.records.column_kinds import Categorical, Image, Numerical, Timestamp
from keshi.records.domain import Domain
from keshi.synthesis import record_sizes
from keshi.synthesis.presets import PaperPreset, with_steps
from keshi.synthesis.private_embedding import PrivateEmbedding
from keshi.synthesis.reconstruction import Schedule
from keshi.synthesis.synthesizer import PearlSynthesizer, embed_table
from keshi.synthesis.trained_generator import Generator

QUICK = PaperPreset(frequencies=10, schedule=Schedule(steps=4))
DOMAIN = Domain(
    {
        "city": Categorical(("Aa", "Bb"), other=True, missing=True),
        "age": Numerical(0, 99, integer=True, missing=True),
        "class": Categorical((True, False)),
        "seen": Timestamp("2020-01-01", "2021-01-01", missing=True),
        "pay": Numerical(-1, 1, dtype="float32"),
    },
    label="class",
)


def people(n: int = 60) -> pd.DataFrame:
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "city": random.choice(np.array(["Aa", "Bb", "Cc", None], dtype=object), n),
            "age": pd.array(random.integers(0, 99, n), dtype="Int64"),
            "class": random.random(n) < 0.5,
            "seen": pd.Timestamp("2020-05-05"),
            "pay": random.uniform(-1, 1, n).astype("float32"),
        }
    )


def fitted(table=None, **options) -> PearlSynthesizer:
    return PearlSynthesizer(**{"domain": DOMAIN, "preset": QUICK, **options}).fit(
        people() if table is None else table
    )


def test_columns_dtypes_and_missing_values_come_back_and_the_input_stays_as_it_is() -> None:
    table = people()
    before = table.copy(deep=True)
    drawn = fitted(table).sample(3_000)
    pd.testing.assert_frame_equal(table, before)
    assert list(drawn.columns) == list(DOMAIN.columns)
    expected = [str(pd.Series(["a"]).dtype), "Int64", "bool", "datetime64[us]", "float32"]
    assert [str(dtype) for dtype in drawn.dtypes] == expected
    assert drawn[["city", "age", "seen"]].isna().any().all()
    assert set(drawn["city"].dropna()) <= {"Aa", "Bb", "OTHER"}
    assert drawn["age"].dropna().between(0, 99).all()
    again = fitted(drawn).sample(10)  # what came out can go in
    assert (again.dtypes == drawn.dtypes).all()


def test_a_saved_generator_draws_the_same_records(tmp_path) -> None:
    synthesizer = fitted()
    synthesizer.save(tmp_path / "g")
    loaded = PearlSynthesizer.load(tmp_path / "g")
    pd.testing.assert_frame_equal(loaded.sample(50, seed=3), synthesizer.sample(50, seed=3))
    assert not loaded.sample(50, seed=4).equals(loaded.sample(50, seed=3))
    assert loaded.statement == synthesizer.statement
    with pytest.raises(ArtifactError, match="exists"):
        synthesizer.save(tmp_path / "g")
    with pytest.raises(ArtifactError, match=r"generator|kind"):
        PrivateEmbedding.load(tmp_path / "g")


def test_a_generator_whose_weights_do_not_fit_is_refused(tmp_path) -> None:
    generator = fitted().generator_
    generator.class_weights = np.ones(5)
    generator.save(tmp_path / "g")
    with pytest.raises(ArtifactError, match="do not fit together"):
        Generator.load(tmp_path / "g")


def test_what_is_not_fitted_says_so() -> None:
    empty = PearlSynthesizer(domain=DOMAIN)
    for ask in (lambda: empty.sample(3), lambda: empty.save("x"), lambda: empty.statement):
        with pytest.raises(NotFittedError, match="call fit"):
            ask()


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("relation", ["replace-one", "add-or-remove"])
@pytest.mark.parametrize("label", ["class", None])
def test_tables_of_a_few_rows_and_of_one_class_work(n, relation, label) -> None:
    table = people(n).assign(**{"class": True})
    drawn = fitted(table, domain=replace(DOMAIN, label=label), relation=relation).sample(7)
    assert len(drawn) == 7


def test_a_class_with_one_row_works() -> None:
    table = people(30).assign(**{"class": [True] + [False] * 29})
    assert len(fitted(table).sample(5)) == 5


def test_no_rows_work_where_their_number_is_not_public_and_are_refused_where_it_is() -> None:
    assert len(fitted(people(0), relation="add-or-remove").sample(3)) == 3
    with pytest.raises(DomainError, match="no records"):
        fitted(people(0), relation="replace-one")


def test_arrow_tables_and_files_are_taken_as_well(tmp_path) -> None:
    people().to_csv(tmp_path / "p.csv", index=False)
    people().to_parquet(tmp_path / "p.parquet")
    for table in (pa.Table.from_pandas(people()), tmp_path / "p.csv", str(tmp_path / "p.parquet")):
        assert len(fitted(table).sample(3)) == 3


@pytest.mark.parametrize(
    ("table", "error"),
    [
        (people().drop(columns="class"), DomainError),
        (people().assign(extra=1), DomainError),
        (people().assign(pay=math.nan), DomainError),
        (people().assign(**{"class": None}), DomainError),
        ("none.csv", RecordsError),
        (3, RecordsError),
    ],
)
def test_a_refused_table_costs_nothing(table, error) -> None:
    ledger = PrivacyLedger.in_memory(epsilon=1, delta=1e-5)
    head = ledger.head
    with pytest.raises(error):
        fitted(table, ledger=ledger)
    assert ledger.head == head
    assert len(fitted(ledger=ledger).sample(2)) == 2
    with pytest.raises(BudgetError):
        fitted(ledger=ledger)


@pytest.mark.parametrize(
    ("domain", "says"),
    [
        (Domain({"a": Categorical(tuple(range(1_000_000)))}), "column 'a' alone has 1,000,000 categories"),
        (Domain({"y": Categorical((0, 1))}, label="y"), "no column beside the label"),
        (Domain({"x": Numerical(0, 1), "y": Categorical(tuple(range(9_999)))}, label="y"), "9,999 classes"),
        (Domain({"x": Numerical(0, 1, missing=True, dtype="int8")}), "leave dtype out"),
    ],
)
def test_a_domain_that_cannot_be_trained_on_is_refused_before_anything_is_read(domain, says) -> None:
    ledger = PrivacyLedger.in_memory(epsilon=1, delta=1e-5)
    with pytest.raises(DomainError, match=says):
        fitted(pd.DataFrame(), domain=domain, ledger=ledger)
    assert ledger.spent().mu == 0


@pytest.mark.parametrize(
    "wrong",
    [{"epsilon": 0}, {"epsilon": -1}, {"epsilon": math.nan}, {"epsilon": math.inf}, {"epsilon": "1"},
     {"delta": 0.0}, {"delta": 1.0}, {"delta": math.nan}, {"preset": "magic"}, {"relation": "both"}, {"seed": -1},
     {"seed": 0.5}, {"seed": 2**64}, {"threads": 0}, {"device": "meta"}, {"device": "abacus"}],
)  # fmt: skip
def test_a_bad_argument_is_refused_by_name_when_it_is_given(wrong) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        PearlSynthesizer(**{"domain": DOMAIN, **wrong})


@pytest.mark.parametrize("n", [0, -1, 1.5, True])
def test_a_bad_number_of_records_is_refused(n) -> None:
    with pytest.raises(ValueError, match="n must be a whole number"):
        fitted().sample(n)


def test_records_come_in_batches_that_are_bounded_for_wide_records(monkeypatch) -> None:
    generator = fitted().generator_
    monkeypatch.setattr(record_sizes, "BATCH_VALUES", generator.domain.width * 8)
    assert [len(batch) for batch in generator.sample_batches(20)] == [8, 8, 4]


def test_wide_records_are_read_in_smaller_batches(monkeypatch) -> None:
    monkeypatch.setattr(record_sizes, "BATCH_VALUES", DOMAIN.width * 8)
    seen: list[int] = []
    embed_table(people(20), DOMAIN, QUICK, epsilon=1.0, delta=1e-5, unit=PearlSynthesizer(domain=DOMAIN).unit,
                progress=lambda what, rows: seen.append(rows))  # fmt: skip
    assert seen[:3] == [8, 16, 20]


def test_the_number_of_steps_can_be_changed() -> None:
    assert with_steps(QUICK, 9).schedule_for(DOMAIN).steps == 9
    assert with_steps(QUICK, None) is QUICK


def test_a_gpu_is_refused_where_there_is_nothing_to_train(monkeypatch) -> None:
    monkeypatch.setattr(torch, "zeros", lambda *_, device: torch.tensor([0.0]))  # every device is at hand
    images = Domain({"x": Image(4, 4)})
    with pytest.raises(ValueError, match="at once, on the CPU; leave device cuda:1 out"):
        PearlSynthesizer(domain=images, device="cuda:1")
    assert PearlSynthesizer(domain=images, device="cpu:0").device == "cpu:0"
    assert PearlSynthesizer(domain=images, preset="paper", device="cuda:1").device == "cuda:1"
