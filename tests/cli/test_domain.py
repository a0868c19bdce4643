"""keshi domain: a draft costs nothing, a learnt domain says what it cost."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from keshi.cli.domain import domain
from keshi.errors import BudgetError
from keshi.privacy.ledger import PrivacyLedger
from keshi.records.domain import Domain

app = typer.Typer(rich_markup_mode=None)
app.command()(domain)


@pytest.fixture(autouse=True)
def own_state(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("KESHI_STATE", str(tmp_path_factory.mktemp("state")))


@pytest.fixture
def table(tmp_path) -> Path:
    path = tmp_path / "people.csv"
    rng = np.random.default_rng(0)
    country = np.array(["Rareland", *rng.choice(["Home", "Away"], 2_999)])
    pd.DataFrame({"age": rng.integers(20, 60, 3_000), "country": country}).to_csv(path, index=False)
    return path


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)


def test_without_epsilon_it_is_a_draft_with_blanks(table):
    text = run(table).stdout
    assert "# lower = ?" in text
    assert "Home" not in text


def test_with_epsilon_the_domain_is_written_and_its_price_is_told(table, tmp_path):
    target = tmp_path / "people.toml"
    result = run(table, "--epsilon", 1, "-o", target)
    learned = Domain.read(target)
    assert learned.columns["country"].categories == ("Away", "Home")
    assert learned.ledger is None
    sentence = "(1.00, 1e-05)-differential privacy for adding or removing one record; 2 noisy measurements"
    assert sentence in result.stderr
    assert sentence in target.read_text()
    assert "no ledger" in result.stderr
    assert "Rareland" not in target.read_text() + result.output


def test_stdout_is_the_domain_file_and_nothing_else(table):
    text = run(table, "--epsilon", 1, "--relation", "replace-one").stdout
    assert set(Domain.loads(text).columns) == {"age", "country"}
    assert "replacing one record" in text


def test_a_ledger_is_spent_from_and_named_and_a_run_is_paid_once(table, tmp_path):
    book = tmp_path / "people.ledger"
    PrivacyLedger.create(book, epsilon=1.0, delta=1e-5).close()
    arguments = (table, "--epsilon", 0.3, "--ledger", book, "--run", "spring")
    first = run(*arguments).stdout
    with PrivacyLedger.open(book) as ledger:
        assert Domain.loads(first).ledger == ledger.id
        assert ledger.spent().epsilon == pytest.approx(0.3, rel=0.01)
    assert Domain.loads(run(*arguments).stdout) == Domain.loads(first)
    with PrivacyLedger.open(book) as ledger:
        assert ledger.spent().measurements == 2
    with pytest.raises(BudgetError, match="remain"):
        run(table, "--epsilon", 1, "--ledger", book)


def test_an_existing_file_and_a_missing_folder_are_refused_before_anything_is_spent(table, tmp_path):
    book = tmp_path / "people.ledger"
    PrivacyLedger.create(book, epsilon=1.0, delta=1e-5).close()
    (tmp_path / "people.toml").write_text("hours of work")
    for target, message in (
        (tmp_path / "people.toml", "exists"),
        (tmp_path / "no" / "x.toml", "does not exist"),
    ):
        with pytest.raises(ValueError, match=message):
            run(table, "--epsilon", 0.3, "--ledger", book, "-o", target)
    with PrivacyLedger.open(book) as ledger:
        assert ledger.spent().measurements == 0
    assert (tmp_path / "people.toml").read_text() == "hours of work"


@pytest.mark.parametrize(
    "option", [("--delta", "1e-6"), ("--ledger", "a.ledger"), ("--relation", "replace-one")]
)
def test_options_of_a_spend_without_epsilon_are_refused(option, table):
    with pytest.raises(ValueError, match="without --epsilon"):
        run(table, *option)


def test_an_unknown_relation_is_refused(table):
    with pytest.raises(ValueError, match="add-or-remove, replace-one"):
        run(table, "--epsilon", 1, "--relation", "swap")
