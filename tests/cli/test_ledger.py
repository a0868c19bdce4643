from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from keshi.cli.ledger import ledger_app
from keshi.errors import BudgetError, DomainError
from keshi.privacy.accounting import mu_from_epsilon
from keshi.privacy.ledger import PrivacyLedger
from keshi.privacy.unit import PrivacyUnit
from keshi.records.domain import Domain, Learned

DOMAIN = """\
# What is publicly known of people.csv
format = "keshi-domain-1"  # do not change
outside = "clip"

# years, by law
[columns.age]
type = "numerical"   # of 18 to 120
lower = 18
"""


@pytest.fixture(autouse=True)
def own_state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KESHI_STATE", str(tmp_path_factory.mktemp("state")))


@pytest.fixture
def domain(tmp_path: Path) -> Path:
    path = tmp_path / "people.toml"
    path.write_text(DOMAIN)
    return path


def run(*arguments: object) -> str:
    return CliRunner().invoke(ledger_app, [str(a) for a in arguments], catch_exceptions=False).stdout


def test_create_puts_the_ledger_beside_the_domain_and_its_id_into_it_and_keeps_every_comment(
    domain: Path,
) -> None:
    text = run("create", domain, "--epsilon", 1, "--delta", 1e-5)
    ledger = PrivacyLedger.open(domain.with_suffix(".ledger"))
    assert ledger.budget["epsilon"] == 1.0
    assert ledger.budget["delta"] == 1e-5
    assert ledger.budget["dataset"] == "people"
    assert tomllib.loads(domain.read_text())["ledger"] == ledger.id
    written = domain.read_text().splitlines()
    assert [line for line in written if not line.startswith("ledger = ")] == DOMAIN.splitlines()
    assert ledger.id in text
    assert "keshi embed" in text


@pytest.mark.parametrize(
    ("kind", "there", "named"),
    [
        ("numerical", (), "people.csv"),
        ("image", (), "people.npz"),
        ("image", ("people.parquet",), "people.parquet"),
    ],
)
def test_create_says_how_to_go_on_with_the_records_that_are_there(
    domain: Path, kind: str, there: tuple[str, ...], named: str
) -> None:
    domain.write_text(DOMAIN.replace("numerical", kind))
    for name in there:
        (domain.parent / name).touch()
    told = run("create", domain, "--epsilon", 1)
    assert f"keshi embed {domain.parent / named if there else named} --domain" in told


def test_create_without_a_domain_file_makes_the_ledger_alone(tmp_path: Path) -> None:
    run(
        "create",
        tmp_path / "a.ledger",
        "--epsilon",
        2,
        "--delta",
        1e-6,
        "--dataset",
        "d",
        "--relation",
        "replace-one",
        "--subject",
        "person",
    )
    assert [path.name for path in tmp_path.iterdir()] == ["a.ledger"]
    budget = PrivacyLedger.open(tmp_path / "a.ledger").budget
    assert (budget["epsilon"], budget["delta"], budget["dataset"], budget["unit"]) == (
        2,
        1e-6,
        "d",
        PrivacyUnit("replace-one", "person").describe(),
    )


def test_a_data_set_gets_its_budget_once(domain: Path) -> None:
    run("create", domain, "--epsilon", 1)
    before = domain.read_bytes()
    with pytest.raises(BudgetError, match="once"):
        run("create", domain, "--epsilon", 100)
    domain.with_suffix(".ledger").unlink()
    with pytest.raises(BudgetError, match="once"):  # deleting the ledger buys no second budget
        run("create", domain, "--epsilon", 100)
    assert domain.read_bytes() == before


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[columns.age]\nlower = 1\n",
        "[[columns]]\nname = 'a'",
        "format = 'x'",
        "format = '''\nformat = 3\n'''\n# end\n[columns.format]\nformat = 1\n",
        "# a\r\nformat = 'x'\r\n# b\r\n[columns.age]\r\n",
        "[columns]\nformat = 'not the top'\n",
    ],
)
def test_the_id_lands_above_the_first_table_of_any_domain_file(text: str, tmp_path: Path) -> None:
    path = tmp_path / "people.toml"
    path.write_bytes(text.encode())
    run("create", path, "--epsilon", 1)
    identity = PrivacyLedger.open(tmp_path / "people.ledger").id
    after = path.read_bytes().decode()
    assert tomllib.loads(after) == tomllib.loads(text) | {"ledger": identity}
    assert after.replace(f'ledger = "{identity}"\n', "") == text


@pytest.mark.parametrize("content", [None, b"a = = 1", b"\xff"])
def test_a_missing_or_broken_domain_file_creates_nothing(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "people.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DomainError, match=r"people\.toml"):
        run("create", path, "--epsilon", 1)
    assert not (tmp_path / "people.ledger").exists()


def test_show_prints_every_spend_and_what_remains(domain: Path) -> None:
    run("create", domain, "--epsilon", 1)
    path = domain.with_suffix(".ledger")
    assert "remaining  epsilon 1 " in run("show", path)
    with PrivacyLedger.open(path) as ledger:
        ledger.store(ledger.spend(run="spring", index=0, what="first look", mu=0.1), b"v")
        ledger.spend(run="spring", index=1, what="embedding", mu=0.1)
        ledger.spend(run="spring", index=1, what="embedding", mu=0.05)
    text = run("show", path)
    for expected in ("0 first look", "1 embedding, attempt 2", "not kept", "mu 0.15", "3 measurements"):
        assert expected in text
    facts = json.loads(run("show", domain, "--json"))
    assert [spend["mu"] for spend in facts["spends"]] == [0.1, 0.1, 0.05]
    assert [spend["value_kept"] for spend in facts["spends"]] == [True, False, False]
    assert facts["spent"]["mu"] == pytest.approx(0.15)
    with PrivacyLedger.open(path) as ledger:
        assert facts["head"] == ledger.head
        ledger.spend(run="summer", index=0, what="embedding", mu=ledger.remaining().mu)
    assert "remaining  nothing" in run("show", path)


def test_show_finds_the_only_ledger_of_the_folder(domain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(domain.parent)
    with pytest.raises(BudgetError, match="found none"):
        run("show")
    run("create", domain, "--epsilon", 1)
    assert "people: epsilon 1" in run("show")
    run("create", "other.ledger", "--epsilon", 1)
    with pytest.raises(BudgetError, match=r"other\.ledger, people\.ledger"):
        run("show")


def test_a_domain_file_shows_only_the_ledger_it_names(domain: Path) -> None:
    run("create", domain.with_suffix(".ledger"), "--epsilon", 1)
    domain.write_text(f'ledger = "{"0" * 32}"\n{DOMAIN}')
    with pytest.raises(BudgetError, match="domain file names"):
        run("show", domain)


def test_a_moved_ledger_is_shown_only_after_it_was_adopted(
    domain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("create", domain, "--epsilon", 1)
    monkeypatch.setenv("KESHI_STATE", str(tmp_path / "other machine"))
    path = domain.with_suffix(".ledger")
    with pytest.raises(BudgetError, match="keshi ledger adopt"):
        run("show", path)
    assert "no other copy" in run("adopt", path)
    assert "remaining  epsilon 1 " in run("show", path)


@pytest.mark.parametrize("command", ["create", "show", "adopt"])
def test_help_ends_with_a_line_to_paste(command: str) -> None:
    assert run(command, "--help").strip().splitlines()[-1].strip().startswith("Example: keshi ledger")


COST = Learned(0.2, 1e-6, PrivacyUnit().describe(), 0.75, run="spring")


@pytest.fixture
def learned(tmp_path: Path) -> Path:
    """A learnt domain file with comments, and a column after the cost."""
    text = Domain.loads(
        'format = "keshi-domain-1"\n[columns.age]\ntype = "numerical"\nlower = 0\nupper = 99\n'
    )
    path = tmp_path / "learnt.toml"
    lines = Domain(text.columns, learned=COST).dumps()
    path.write_text(
        f'# by me\n{lines}\n# added\n[columns.sex]\ntype = "categorical"\ncategories = ["f", "m"]\n'
    )
    return path


def test_a_ledger_made_for_a_learnt_domain_starts_with_what_the_learning_cost(learned: Path) -> None:
    before = learned.read_text()
    text = run("create", learned, "--epsilon", 1)
    with PrivacyLedger.open(learned.with_suffix(".ledger")) as ledger:
        spends = [entry.fields for entry in ledger.entries() if entry.kind == "spend"]
        assert [(s["run"], s["index"], s["what"], s["mu"], s["delta_slack"], s["unit"]) for s in spends] == [
            ("spring", 0, "learned domain", COST.mu, COST.delta, COST.unit)
        ]
        assert ledger.budget["unit"] == COST.unit
        assert ledger.remaining().mu ** 2 + COST.mu**2 < PrivacyLedger.in_memory(
            epsilon=1, delta=1e-5
        ).remaining().mu ** 2 * (1 + 1e-9)
        with pytest.raises(BudgetError, match="neither"):
            ledger.spend(run="r", index=0, what="w", mu=0.01, unit=PrivacyUnit("replace-one").describe())
        domain = Domain.read(learned)
        assert domain.ledger == ledger.id
        assert domain.learned is not None
        assert domain.learned.ledger == ledger.id  # so that nobody books it a second time
    assert "mu 0.2" in text
    proposed = float(text.split("--epsilon ")[1].split()[0])
    with PrivacyLedger.open(learned.with_suffix(".ledger")) as ledger:
        assert 0.5 < proposed < ledger.remaining().epsilon  # not 1, which can no longer be afforded
        ledger.spend(run="next", index=0, what="embedding", mu=mu_from_epsilon(proposed, 1e-5))
    assert [
        x for x in learned.read_text().splitlines() if not x.startswith("ledger = ")
    ] == before.splitlines()


def test_the_cost_of_a_domain_may_be_written_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "people.toml"
    path.write_text(
        f'learned = {{mu = 0.2, delta = 1e-6, unit = "{COST.unit}", epsilon = 0.75}} # paid\n[columns.a]\n# b\n'
    )
    run("create", path, "--epsilon", 1)
    facts = json.loads(run("show", path, "--json"))
    document = tomllib.loads(path.read_text())
    assert facts["spends"][0]["run"] == "learned domain"
    assert document["ledger"] == document["learned"]["ledger"] == facts["ledger"]
    assert "# paid" in path.read_text()
    assert "# b" in path.read_text()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--epsilon", 0.1), "more than the whole budget of epsilon 0.1. Nothing was created."),
        (("--epsilon", 1, "--delta", 1e-7), "which is more than delta 1e-07"),
        (
            ("--epsilon", 1, "--subject", "person"),
            "together they would guarantee neither. Nothing was created.",
        ),
        (("--epsilon", 1, "--relation", "replace-one"), "this budget would be for replacing one record"),
        (("--epsilon", 60), "more than the whole budget"),  # the slack at epsilon 60 is beyond delta
    ],
)
def test_a_budget_that_cannot_hold_the_cost_of_learning_creates_nothing(
    options: tuple[object, ...], says: str, learned: Path
) -> None:
    before = learned.read_bytes()
    with pytest.raises(BudgetError) as refused:
        run("create", learned, *options)
    assert says in str(refused.value)
    assert [path.name for path in learned.parent.iterdir()] == ["learnt.toml"]
    assert learned.read_bytes() == before


def test_a_booking_that_fails_on_the_disk_leaves_no_ledger_that_starts_at_zero(
    learned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = learned.read_bytes()
    spend = PrivacyLedger.spend

    def full(self: PrivacyLedger, **fields: object) -> object:
        if self.id != "in-memory":
            raise BudgetError("the disk is full")
        return spend(self, **fields)  # type: ignore[arg-type]

    monkeypatch.setattr(PrivacyLedger, "spend", full)
    with pytest.raises(BudgetError, match="full"):
        run("create", learned, "--epsilon", 1)
    assert [path.name for path in learned.parent.iterdir()] == ["learnt.toml"]
    assert learned.read_bytes() == before
    monkeypatch.undo()


def test_a_domain_learnt_from_a_ledger_gets_no_second_one(learned: Path) -> None:
    run("create", learned, "--epsilon", 1)
    identity = Domain.read(learned).ledger
    top = f'ledger = "{identity}"\n'
    learned.write_text(
        learned.read_text().replace(top, "", 1)
    )  # the line at the top; [learned] still names it
    learned.with_suffix(".ledger").unlink()
    with pytest.raises(BudgetError, match=f"{identity}.*once"):
        run("create", learned, "--epsilon", 100)


def test_a_cost_that_was_tampered_with_is_refused_with_all_its_problems(learned: Path) -> None:
    learned.write_text(learned.read_text().replace("mu = 0.2", "mu = 0").replace("epsilon = ", "eps = "))
    with pytest.raises(DomainError, match=r"(?s)unknown setting 'eps'.*epsilon not there"):
        run("create", learned, "--epsilon", 1)
    assert not learned.with_suffix(".ledger").exists()
