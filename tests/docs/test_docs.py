"""The documentation keeps its word: links lead somewhere, tests exist, commands parse, code compiles, figures hold."""

import math
import re
import shlex
from pathlib import Path

import pytest
import typer

from keshi.cli.app import app
from keshi.privacy.accounting import delta_from_mu
from keshi.records.domain import Domain

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHELL = ("", "sh", "bash", "console", "shell")

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def blocks(page, languages):
    return [body for language, body in FENCE.findall(page.read_text("utf-8")) if language in languages]


def prose(page):
    return FENCE.sub("", page.read_text("utf-8"))


def anchors(page):
    """The names that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ +(.+?)\s*$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def fenced_commands(page):
    lines = "\n".join(blocks(page, SHELL)).replace("\\\n", " ").splitlines()
    commands = (line.strip().removeprefix("$ ") for line in lines)
    return [command for command in commands if command.split()[:1] == ["keshi"]]


def inline_commands(page):
    return [found for found in re.findall(r"`([^`]+)`", prose(page)) if found.split()[:1] == ["keshi"]]


def words(line):
    """The arguments after `keshi`, without a comment, a pipe or a redirection."""
    found = shlex.split(line, comments=True)[1:]
    stop = next((i for i, word in enumerate(found) if word in ("|", ">", "&&")), len(found))
    return found[:stop]


def find_verb(arguments):
    """(command, the arguments that are left) after walking down the verbs."""
    command, rest = typer.main.get_command(app), list(arguments)
    while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        assert rest[0] in command.commands, f"{rest[0]!r} is none of {sorted(command.commands)}"
        command = command.commands[rest.pop(0)]
    return command, rest


def check_options(arguments):
    command, rest = find_verb(arguments)
    known = {"--help"} | {
        name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)
    }
    for word in rest:
        if word.startswith("-"):
            assert word.split("=")[0] in known, f"{word} is no option of {command.name}"


def check_whole_command(arguments):
    """Parsed as the program parses it, options, types and missing ones included; nothing is run."""
    command, rest = find_verb(arguments)
    check_options(arguments)
    if "--help" not in rest and not hasattr(command, "commands"):
        command.make_context(command.name, rest)


@every_page
def test_every_relative_link_leads_to_a_file_and_a_heading(page):
    for target in re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, heading = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), f"{target} is not there"
        assert path.is_relative_to(ROOT), f"{target} leaves the repository"
        if heading:
            assert heading in anchors(path), f"{target}: no such heading"


@every_page
def test_every_command_parses(page):
    for line in fenced_commands(page):
        try:
            check_whole_command(words(line))
        except Exception as error:
            raise AssertionError(f"{line}\n{getattr(error, 'message', None) or error}") from error
    for line in inline_commands(page):
        check_options(words(line))


@pytest.mark.parametrize(
    "line",
    [
        "keshi synthesise people.csv",
        "keshi embed people.csv --domain people.toml -o x",  # no epsilon
        "keshi embed people.csv --domain people.toml --epsilon much -o x",
        "keshi train people.embedding -o x --rows 5",
        "keshi ledger create people.toml --epsilon 1 stray",
    ],
)
def test_a_wrong_command_would_be_noticed(line):
    with pytest.raises(Exception, match=r"synthesise|epsilon|valid number|--rows|stray"):
        check_whole_command(words(line))


@every_page
def test_every_test_that_is_named_exists(page):
    for file, name in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", page.read_text("utf-8")):
        assert (ROOT / file).is_file(), f"{file} is not there"
        if name:
            text = (ROOT / file).read_text("utf-8")
            assert re.search(rf"^def {name}\(", text, re.MULTILINE), f"{file} has no {name}"


def test_every_pitfall_in_the_tables_names_a_test():
    text = (ROOT / "docs/explanation/pitfalls.md").read_text("utf-8")
    rows = [
        line for line in text.splitlines() if line.startswith("|") and not line.startswith(("| pit", "|---"))
    ]
    assert len(rows) > 20
    for row in rows:
        assert re.search(r"`tests/[\w/]+\.py::test_\w+`", row.split("|")[-2]), row


@every_page
def test_python_code_compiles_and_imports_public_names(page):
    for body in blocks(page, ("python",)):
        compile(body, str(page), "exec")
        for names in re.findall(r"^from keshi import (.+)$", body, re.MULTILINE):
            import keshi

            assert {name.strip() for name in names.split(",")} <= set(keshi.__all__)


@every_page
def test_domain_files_are_ones_that_keshi_reads(page):
    for body in blocks(page, ("toml",)):
        Domain.loads(body, source=str(page))


def test_the_table_of_noise_multipliers_meets_delta_within_its_last_digit():
    lines = (ROOT / "docs/explanation/accounting.md").read_text("utf-8").splitlines()
    header = next(i for i, line in enumerate(lines) if line.startswith("| epsilon |"))
    epsilons, one, two = ([cell.strip() for cell in lines[header + i].split("|")[2:-1]] for i in (0, 2, 3))
    for epsilon, single, double in zip(epsilons, one, two, strict=True):
        for shown, measurements in ((single, 1), (double, 2)):
            half_a_digit = 0.5 * 10 ** -len(shown.partition(".")[2])
            deltas = [
                delta_from_mu(math.sqrt(measurements) / (float(shown) + error), float(epsilon))
                for error in (half_a_digit, -half_a_digit)
            ]
            assert deltas[0] <= 1e-5 <= deltas[1], (epsilon, shown)


def test_the_page_on_sensitivity_states_the_largest_value_of_the_circle():
    import numpy as np

    from keshi.synthesis.characteristic import CharacteristicFeatures
    from keshi.synthesis.features import AMPLITUDE

    largest = CharacteristicFeatures(np.zeros((1, 1)), 1).norm ** 2
    text = (ROOT / "docs/explanation/sensitivity.md").read_text("utf-8")
    assert f"{round(largest):,}" in text
    assert f"{math.sqrt(largest) / AMPLITUDE:.6f} A" in text


def test_no_page_holds_a_placeholder():
    for page in PAGES:
        assert not re.search(
            r"^(FIGURES|ADULT|TODO|TBD|XXX)$", page.read_text(encoding="utf-8"), re.MULTILINE
        ), page
