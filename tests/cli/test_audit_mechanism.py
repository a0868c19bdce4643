"""keshi audit-mechanism prints bounds next to the claim, one verdict, and exits 1 only where the promise is broken."""

import json

import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from keshi.cli.audit_mechanism import audit_mechanism
from keshi.privacy import learned_domain, mechanisms
from keshi.privacy.learned_domain import learn_domain
from keshi.privacy.unit import PrivacyUnit
from keshi.records.column_kinds import Categorical, Numerical
from keshi.records.domain import Domain
from keshi.synthesis.presets import PaperPreset
from keshi.synthesis.synthesizer import embed_table

pytestmark = pytest.mark.real_noise

DOMAIN = Domain({"age": Numerical(0, 100), "ill": Categorical(("no", "yes"))}, label="ill")
app = typer.Typer()
app.command()(audit_mechanism)


@pytest.fixture
def domain_file(tmp_path):
    path = tmp_path / "people.toml"
    path.write_text(DOMAIN.dumps())
    return path


@pytest.fixture
def embedding(tmp_path):
    table = pd.DataFrame({"age": [10.0, 50.0, 90.0], "ill": ["no", "yes", "no"]})
    made = embed_table(table, DOMAIN, PaperPreset(frequencies=3), epsilon=1.0, delta=1e-5, unit=PrivacyUnit())
    made.save(tmp_path / "people.embedding")
    return tmp_path / "people.embedding"


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_too_few_trials_are_inconclusive_and_exit_with_0(embedding):
    result = run(embedding, "--trials", 100)
    assert result.exit_code == 0
    assert "claim: (1.00, 1e-05)-differential privacy for adding or removing one record" in result.output
    assert "FAILED" not in result.output
    last = result.output.strip().splitlines()[-1]
    assert last.startswith("INCONCLUSIVE: every check passed, but 100 trials are too few")


def test_enough_trials_are_consistent(domain_file):
    result = run(domain_file, "--epsilon", 4, "--relation", "add-or-remove", "--trials", 1_500, "--json")
    found = json.loads(result.output)
    assert (result.exit_code, found["verdict"]) == (0, "consistent")
    assert found["bounds"]["n"] == 1_500
    assert 0 < found["bounds"]["gaussian_epsilon"] <= 4


def test_weaker_noise_exits_with_1_and_names_what_failed(embedding, monkeypatch):
    real = mechanisms.discrete_gaussian
    monkeypatch.setattr(mechanisms, "discrete_gaussian", lambda sums, scale: real(sums, scale // 2))
    result = run(embedding, "--trials", 200)
    assert result.exit_code == 1
    assert "FAILED  noise has the declared scale" in result.output
    assert result.output.strip().splitlines()[-1].startswith("VIOLATED")


def test_a_claim_given_beside_an_embedding_is_refused(embedding):
    result = run(embedding, "--epsilon", 2)
    assert isinstance(result.exception, ValueError)
    assert "leave out --epsilon" in str(result.exception)


def test_subjects_are_audited_from_a_domain_file(domain_file):
    result = run(domain_file, "--subject", "name", "--max-records", 2, "--trials", 100)
    assert result.exit_code == 0
    assert "for adding or removing one subject" in result.output
    assert "the records of a subject weigh one unit together" in result.output
    assert "FAILED" not in result.output


def test_a_bound_on_records_without_a_subject_is_refused(domain_file):
    result = run(domain_file, "--max-records", 2)
    assert "name the subject's column too" in str(result.exception)


def test_a_subject_given_beside_an_embedding_is_refused(embedding):
    result = run(embedding, "--subject", "name", "--max-records", 2)
    assert "leave out --subject, --max-records" in str(result.exception)


def test_the_learning_of_a_learnt_domain_is_audited_too(tmp_path, monkeypatch):
    table = tmp_path / "people.csv"
    table.write_text("age,city\n" + "34,Nara\n47,Otsu\n" * 2_000)
    learned = learn_domain(table, epsilon=1.0)
    made = embed_table(
        pd.read_csv(table),
        learned.domain,
        PaperPreset(frequencies=3),
        epsilon=0.5,
        delta=1e-5,
        unit=PrivacyUnit(),
    )
    made.save(tmp_path / "people.embedding")
    found = json.loads(run(tmp_path / "people.embedding", "--trials", 100, "--json").output)
    assert found["epsilon"] == pytest.approx(0.5, rel=1e-5)
    assert found["learning"]["epsilon"] == 1.0
    assert found["verdict"] == found["learning"]["verdict"] == "inconclusive"
    # the release is left whole, the thresholds are not
    monkeypatch.setattr(learned_domain, "threshold", lambda scale, **_: 3 * scale)
    monkeypatch.setattr(mechanisms, "threshold", lambda scale, **_: 3 * scale)
    result = run(tmp_path / "people.embedding", "--trials", 200)
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 1
    release, learning = result.output.split("the learning of its domain")
    assert "FAILED" not in release
    assert "FAILED  a value that one unit may bring is published no more often than delta allows" in learning
