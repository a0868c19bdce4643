"""A learnt domain is loadable at once, tells nothing of rare records, and is paid for as a whole or not at all."""

import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from keshi.errors import BudgetError, DomainError, RecordsError
from keshi.privacy import mechanisms
from keshi.privacy.accounting import compose, delta_slack
from keshi.privacy.learned_domain import learn_domain
from keshi.privacy.ledger import PrivacyLedger
from keshi.privacy.unit import PrivacyUnit
from keshi.records.column_kinds import Categorical, Numerical, Timestamp
from keshi.records.domain import Domain
from keshi.records.tables import TableEncoder

N = 4_000


def people():
    """Columns of every kind, with odd values; row 0 is the only one from Rareland, and 107 years old."""
    rng = np.random.default_rng(0)
    country = rng.choice(["Home", " Home", "Away"], N).astype(object)
    country[0] = "Rareland"
    age = rng.integers(20, 60, N)
    age[0] = 107
    return pd.DataFrame(
        {
            "age": age,
            "height": rng.normal(170, 10, N).round(3),
            "account": rng.integers(2**53, 2**62, N),
            "country": country,
            "name": [f"person {i}" for i in range(N)],
            "member": rng.choice([True, False], N),
            "seen": pd.to_datetime("2015-03-01") + pd.to_timedelta(rng.integers(0, 900, N), "D"),
            "constant": 5,
            "zero": 0.0,
            "nothing": None,
            "some": np.where(rng.random(N) < 0.5, np.nan, 1.0),
        }
    )


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "people.csv"
    people().to_csv(path, index=False)
    return path


@pytest.fixture
def no_noise(monkeypatch):
    monkeypatch.setattr(mechanisms, "discrete_gaussian", lambda sums, scale: sums)


def free_ledger():
    return PrivacyLedger.in_memory(epsilon=10.0, delta=1e-5)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_learnt_domain_is_loadable_and_its_own_file_follows_it(ending, tmp_path):
    path = tmp_path / f"people.{ending}"
    frame = people()
    frame.to_csv(path, index=False) if ending == "csv" else frame.to_parquet(path)
    learned = learn_domain(path, epsilon=5.0)
    domain = Domain.loads(learned.text)
    assert domain == learned.domain
    assert domain.columns["country"] == Categorical((" Home", "Away", "Home"), missing=True, other=True)
    assert domain.columns["member"] == Categorical((False, True), missing=True)
    age, seen = domain.columns["age"], domain.columns["seen"]
    assert isinstance(age, Numerical)
    assert age.integer
    assert age.lower <= 20
    assert age.upper >= 59
    assert isinstance(seen, Timestamp)
    assert seen.lower <= "2015-04"
    assert seen.upper >= "2017-07"
    assert domain.columns["constant"].lower <= 5 <= domain.columns["constant"].upper
    assert domain.columns["account"].upper >= 2**61
    assert set(domain.ignore) == {"name", "nothing"}
    encoded = TableEncoder(domain).encode(
        frame.astype({"country": "str"})
    )  # raises if anything contradicts it
    assert len(encoded) == N


def test_bins_are_learnt_inside_the_bounds_and_no_bin_of_whole_numbers_is_empty(table):
    domain = Domain.loads(learn_domain(table, epsilon=5.0).text)
    for name in ("age", "height", "account", "seen"):
        column = domain.columns[name]
        assert 3 <= len(column.bins) <= 19, name  # a Domain checks that they ascend inside the bounds
    assert all(isinstance(cut, int) for name in ("age", "account") for cut in domain.columns[name].bins)
    shares = np.histogram(people()["height"], [0, *domain.columns["height"].bins, 1e3])[0] / N
    assert shares.max() < 0.2
    assert domain.columns["zero"].bins == ()  # one value is one bin


def test_fewer_records_or_more_noise_give_fewer_bins(table):
    learned = [learn_domain(table, epsilon=epsilon) for epsilon in (0.5, 5.0)]
    few, many = (len(found.domain.columns["height"].bins) for found in learned)
    assert few < many


def test_a_rare_country_and_the_oldest_person_are_not_revealed(table):
    ledger = free_ledger()
    learned = learn_domain(table, epsilon=5.0, ledger=ledger)
    everything = learned.text + repr(ledger.entries()) + repr(ledger.stored(learned.run, 1))
    for secret in ("Rareland", "person 1"):
        assert secret not in everything
    age = learned.domain.columns["age"]
    assert 107 not in (age.lower, age.upper)  # random hashes may hold the digits
    assert "other = true" in learned.text


def test_without_one_record_everything_public_but_the_paid_values_stays_the_same(tmp_path, no_noise):
    """Noise forced to nothing: a record that is alone in its cells may change no bound, list or ledger line."""
    outcomes = []
    for rows in (slice(None), slice(1, None)):
        path = tmp_path / "people.csv"
        people().iloc[rows].to_csv(path, index=False)
        ledger = free_ledger()
        learned = learn_domain(path, epsilon=1.0, ledger=ledger, run="run")
        spends = [entry.fields for entry in ledger.entries() if entry.kind == "spend"]
        outcomes.append((learned.domain, spends, learned.smallest_published))
    assert outcomes[0] == outcomes[1]


def test_both_measurements_and_the_thresholds_delta_stand_in_the_ledger(table):
    ledger = free_ledger()
    learned = learn_domain(table, epsilon=1.0, ledger=ledger)
    spends = [entry.fields for entry in ledger.entries() if entry.kind == "spend"]
    assert [spend["what"] for spend in spends] == ["bounds of 7 columns", "categories of 3 columns"]
    assert [spend.get("delta_threshold") for spend in spends] == [None, pytest.approx(1e-6)]
    assert ledger.spent().epsilon == pytest.approx(1.0, rel=1e-3)
    assert learned.statement is not None
    assert "(1.00, 1e-05)" in learned.statement.sentence
    assert learned.statement.sentence in learned.text


@pytest.mark.parametrize("relation", ["add-or-remove", "replace-one"])
def test_a_budget_of_exactly_epsilon_is_enough_once(relation, table):
    ledger = PrivacyLedger.in_memory(epsilon=0.5, delta=1e-5)
    learn_domain(table, epsilon=0.5, ledger=ledger, unit=PrivacyUnit(relation=relation))
    assert ledger.remaining().epsilon < 0.01
    before = ledger.entries()
    with pytest.raises(BudgetError, match="remain"):
        learn_domain(table, epsilon=0.1, ledger=ledger)
    assert ledger.entries() == before


def test_what_cannot_be_afforded_as_a_whole_is_not_begun(table, monkeypatch):
    monkeypatch.setattr(mechanisms, "discrete_gaussian", lambda *_: pytest.fail("noise was drawn"))
    ledger = PrivacyLedger.in_memory(epsilon=0.9, delta=1e-5)
    with pytest.raises(BudgetError, match="'learning a domain'"):
        learn_domain(table, epsilon=1.0, ledger=ledger)
    assert len(ledger.entries()) == 1


def test_a_resumed_run_learns_the_same_and_pays_nothing(table):
    ledger = free_ledger()
    first = learn_domain(table, epsilon=1.0, ledger=ledger, run="run")
    spent = ledger.spent()
    again = learn_domain(table, epsilon=1.0, ledger=ledger, run="run")
    assert again.domain == first.domain
    assert ledger.spent() == spent
    with pytest.raises(BudgetError, match="plan"):
        learn_domain(table, epsilon=2.0, ledger=ledger, run="run")


def test_replacing_one_needs_more_noise_than_adding_one(table):
    smallest = [
        learn_domain(table, epsilon=1.0, unit=PrivacyUnit(relation=relation)).smallest_published
        for relation in ("add-or-remove", "replace-one")
    ]
    assert smallest[1] > 1.3 * smallest[0]


def test_most_records_of_adult_do_not_share_one_learnt_bin(tmp_path):
    """Two columns without a value that most people have. Measured: .13 learnt, .16 for 20 equal bins, epsilon 0.1."""
    path = Path(os.environ.get("KESHI_DATA", "")) / "adult" / "adult.zip"
    if not path.is_file():
        pytest.skip("KESHI_DATA has no adult.zip")
    with zipfile.ZipFile(path) as archive, archive.open("adult.data") as file:
        adult = pd.read_csv(file, header=None, skipinitialspace=True).rename(columns="c{}".format)
    adult.to_csv(tmp_path / "adult.csv", index=False)
    domain = learn_domain(tmp_path / "adult.csv", epsilon=0.1).domain
    for name in ("c0", "c2"):
        column = domain.columns[name]
        counts = np.histogram(adult[name], [-1, *column.bins, 1e9])[0]
        assert 7 <= len(counts) <= 20
        assert counts.max() < 0.2 * len(adult)
        assert counts.min() > 0.02 * len(adult)


def test_columns_that_drown_in_noise_get_placeholders_that_say_so(tmp_path):
    path = tmp_path / "few.csv"
    path.write_text("x,t,z,name\n" + "1,2020-01-01T00:00:00,2020-01-01T00:00:00Z,a\n" * 3)
    learned = learn_domain(path, epsilon=0.1)
    domain = Domain.loads(learned.text)
    assert set(learned.unclear) == {"x", "t", "z"}
    assert domain.columns["x"] == Numerical(0, 1, integer=True, missing=True)
    assert domain.columns["t"] == Timestamp("1900-01-01T00:00:00", "2100-01-01T00:00:00", missing=True)
    assert domain.columns["z"].zoned
    assert domain.ignore == ("name",)
    assert learned.text.count("placeholders") == 3
    assert domain.columns["x"].bins == domain.columns["t"].bins == ()


def test_a_table_without_records_or_with_only_rare_texts_gives_a_defined_answer(tmp_path):
    path = tmp_path / "empty.csv"
    path.write_text("x\n")
    with pytest.raises(DomainError, match="stands out"):  # a column without values is text
        learn_domain(path, epsilon=1.0)
    pd.DataFrame({"x": pd.Series([], dtype="int64")}).to_parquet(tmp_path / "empty.parquet")
    assert learn_domain(tmp_path / "empty.parquet", epsilon=1.0).unclear in ((), ("x",))
    pd.DataFrame(index=range(3)).to_parquet(tmp_path / "none.parquet", index=False)
    with pytest.raises(RecordsError, match="no columns"):
        learn_domain(tmp_path / "none.parquet", epsilon=1.0)


def test_booleans_alone_cost_nothing(tmp_path):
    path = tmp_path / "flags.csv"
    path.write_text("a,b\ntrue,false\nfalse,false\n")
    ledger = free_ledger()
    learned = learn_domain(path, epsilon=1.0, ledger=ledger)
    assert learned.statement is None
    assert learned.domain.learned is None
    assert len(ledger.entries()) == 1
    assert Domain.loads(learned.text).columns["a"] == Categorical((False, True), missing=True)


def test_many_distinct_names_take_little_memory_and_no_noise(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(mechanisms, "discrete_gaussian", lambda sums, scale: drawn.append(len(sums)) or sums)
    path = tmp_path / "names.csv"
    path.write_text("name,city\n" + "".join(f"n{i},c{i % 4}\n" for i in range(200_000)))
    learned = learn_domain(path, epsilon=1.0)
    assert drawn == [4]  # the four cities: no name is a candidate, and missing is not there
    assert learned.domain.ignore == ("name",)


def test_a_subject_unit_is_refused_before_the_file_is_read(tmp_path):
    with pytest.raises(ValueError, match="single records so far"):
        learn_domain(tmp_path / "absent.csv", epsilon=1.0, unit=PrivacyUnit(subject="person"))


@pytest.mark.parametrize(("epsilon", "delta"), [(0, 1e-5), (-1, 1e-5), (float("nan"), 1e-5), (1, 0), (1, 1)])
def test_an_impossible_budget_is_refused(epsilon, delta, table):
    with pytest.raises(ValueError, match=r"epsilon|delta"):
        learn_domain(table, epsilon=epsilon, delta=delta)


def test_the_kept_list_is_json_of_published_values_only(table):
    ledger = free_ledger()
    learned = learn_domain(table, epsilon=5.0, ledger=ledger)
    kept = json.loads(ledger.stored(learned.run, 1))
    assert {(column, value) for column, value, _ in kept} == set(learned.counts)


@pytest.mark.parametrize("relation", ["add-or-remove", "replace-one"])
def test_the_domain_carries_what_learning_it_cost(relation, table):
    """Its mu and delta are those of the ledger's lines, the delta at an epsilon that later budgets stay below."""
    ledger = free_ledger()
    unit = PrivacyUnit(relation=relation)
    learned = learn_domain(table, epsilon=1.0, ledger=ledger, unit=unit, run="spring")
    cost = Domain.loads(learned.text).learned
    assert cost == learned.domain.learned
    spends = [entry.fields for entry in ledger.entries() if entry.kind == "spend"]
    assert len(spends) == 2
    assert cost.mu == compose(spend["mu"] for spend in spends) >= ledger.spent().mu * (1 - 1e-15)
    grid = sum(spend["delta_slack"] for spend in spends) / delta_slack(1.0, 10.0)
    assert cost.delta == pytest.approx(1e-6 + delta_slack(grid, 20.0), rel=1e-9)
    assert cost.delta > ledger.spent().delta_slack
    assert (cost.unit, cost.epsilon, cost.ledger, cost.run) == (unit.describe(), 1.0, "", "spring")


def test_an_earlier_spend_of_the_ledger_is_no_cost_of_the_domain(table):
    ledger = free_ledger()
    ledger.spend(run="earlier", index=0, what="other", mu=0.5, delta_slack=1e-7)
    cost = learn_domain(table, epsilon=1.0, ledger=ledger).domain.learned
    alone = learn_domain(table, epsilon=1.0).domain.learned
    assert cost.mu == alone.mu
    assert cost.delta == pytest.approx(alone.delta, rel=1e-6)


def test_without_a_ledger_no_budget_is_spoken_of(table):
    learned = learn_domain(table, epsilon=1.0)
    assert learned.statement.ledger == learned.statement.ledger_head == learned.domain.learned.ledger == ""
    assert learned.statement.sentence.endswith("no ledger kept.")
    assert "budget remains" not in learned.text
    assert "keshi ledger create" in learned.text


def test_names_and_types_are_said_to_be_outside_the_promise(table):
    learned = learn_domain(table, epsilon=1.0)
    assert any("not covered" in assumed for assumed in learned.statement.assumed_public)
    assert "no promise covers them" in learned.text


def test_a_frequent_value_called_other_falls_into_the_cell_of_that_name(tmp_path):
    path = tmp_path / "people.csv"
    path.write_text("kind,only\n" + "OTHER,OTHER\nhome,OTHER\n" * 2_000)
    learned = learn_domain(path, epsilon=1.0)
    assert learned.counts["kind", "OTHER"] == pytest.approx(2_000, abs=200)
    domain = Domain.loads(learned.text)
    assert domain.columns["kind"] == Categorical(("home",), missing=True, other=True)
    assert domain.ignore == ("only",)  # all its values are OTHER: there is nothing to list
    assert len(TableEncoder(domain).encode(pd.read_csv(path))) == 4_000
