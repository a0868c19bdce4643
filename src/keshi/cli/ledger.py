"""keshi ledger: give a data set its budget once, see what was spent of it, take it over on another machine."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from keshi.privacy.ledger import PrivacyLedger
    from keshi.records.domain import Learned

ledger_app = typer.Typer(
    name="ledger",
    help="The privacy budget of a data set: create it once, show what was spent, adopt it after a move.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

BOOK = typer.Argument(
    None, help="Ledger, or the domain file beside it. Default: the only .ledger file of this folder."
)


@ledger_app.command(epilog="Example: keshi ledger create people.toml --epsilon 1 --delta 1e-5")
def create(
    path: Path = typer.Argument(help="Domain file that shall name the ledger, or the new ledger file."),
    epsilon: float = typer.Option(..., "--epsilon", help="The budget for all releases together, ever."),
    delta: float = typer.Option(
        1e-5, "--delta", help="The delta of (epsilon, delta); far below 1 / records."
    ),
    dataset: str | None = typer.Option(None, "--dataset", help="Name of the data set. Default: the file's."),
    relation: str | None = typer.Option(
        None,
        "--relation",
        help="add-or-remove, or replace-one, as in every run that spends. Default: as the first spend says.",
    ),
    subject: str | None = typer.Option(
        None,
        "--subject",
        help="Column that says whose record it is, as in every run that spends. Default: as the first spend says.",
    ),
) -> None:
    """Give a data set its privacy budget, once.

    With a domain file the ledger stands beside it, and its id is written into the domain file, so that no
    other ledger can be used for these data. What learning that domain cost becomes the ledger's first spend.
    """
    from keshi.artifacts.store import write_atomically
    from keshi.privacy.ledger import PrivacyLedger

    is_domain = path.suffix.lower() == ".toml"
    target = path.with_suffix(".ledger") if is_domain else path
    text, learned = _domain_without_ledger(path) if is_domain else ("", None)
    name = dataset if dataset is not None else path.stem
    unit = _unit(relation, subject)
    if learned is not None:
        _refuse_unless_affordable(learned, path, epsilon=epsilon, delta=delta, unit=unit)
        unit = learned.unit
    with PrivacyLedger.create(target, epsilon=epsilon, delta=delta, dataset=name, unit=unit) as ledger:
        identity = ledger.id
        if learned is not None:
            try:
                _book(learned, ledger, epsilon=epsilon)
            except BaseException:
                ledger.close()
                target.unlink()  # a ledger that starts at zero after all would be worse than none
                raise
        # what a next run can afford; 0.9 leaves room for rounding and its own grid
        affordable = f"{epsilon:g}" if learned is None else f"{0.9 * ledger.remaining().epsilon:.2g}"
    print(f"wrote {target} (epsilon {epsilon:g} at delta {delta:g}; id {identity})")
    if learned is not None:
        print(f"booked what learning {path.name} cost (mu {learned.mu:.3g}) as its first spend")
    if is_domain:
        try:
            write_atomically(path, _with_ledger(text, identity).encode())
        except OSError as error:
            raise OSError(
                f'{target} stands, but {path} could not be written ({error}). Add the line ledger = "{identity}" '
                f"above its first table{', and again below [learned]' if learned is not None else ''}."
            ) from error
        print(f"wrote its id into {path}")
        print(
            f"Next: keshi embed {_records_of(path, text)} --domain {path} --epsilon {affordable} "
            f"-o {path.stem}.embedding"
        )


@ledger_app.command(epilog="Example: keshi ledger show people.ledger --json")
def show(
    path: Path | None = BOOK,
    as_json: bool = typer.Option(False, "--json", help="For programs."),
) -> None:
    """Print what was spent and what remains. Reading the ledger costs nothing."""
    with _open(path) as ledger:
        facts = _facts(ledger)
    print(json.dumps(facts, indent=2) if as_json else _table(facts))


@ledger_app.command(epilog="Example: keshi ledger adopt people.ledger")
def adopt(path: Path = typer.Argument(help="A ledger that was moved to this machine.")) -> None:
    """Take over a ledger from another machine, on your word that it is the newest copy.

    This machine cannot know what other copies have spent. From now on spend from this copy only.
    """
    from keshi.privacy.ledger import PrivacyLedger

    with PrivacyLedger.adopt(path) as ledger:
        remaining = ledger.remaining()
    print(f"adopted {path} (epsilon {remaining.epsilon:.3g} at delta {remaining.delta:g} remains)")
    print(f"Spend from no other copy any more. Next: keshi ledger show {path}")


def _unit(relation: str | None, subject: str | None) -> str:
    """The unit of privacy in the words that every spend will use; empty where it is left to the first one."""
    from keshi.privacy.unit import PrivacyUnit

    if relation is None and subject is None:
        return ""
    return PrivacyUnit(relation or "add-or-remove", subject).describe()  # type: ignore[arg-type]


def _refuse_unless_affordable(
    learned: Learned, path: Path, *, epsilon: float, delta: float, unit: str
) -> None:
    """Try the booking on a ledger in memory, so that nothing is on the disk when it is refused."""
    from keshi.errors import BudgetError
    from keshi.privacy.accounting import epsilon_from_mu
    from keshi.privacy.ledger import PrivacyLedger

    if unit not in ("", learned.unit):
        raise BudgetError(
            f"{path} was learnt under a guarantee for {learned.unit}, and this budget would be for {unit}: together "
            "they would guarantee neither. Nothing was created. Leave --relation and --subject as they were when it "
            "was learnt, or declare bounds, bins and categories from public knowledge."
        )
    with PrivacyLedger.in_memory(epsilon=epsilon, delta=delta) as trial:
        try:
            _book(learned, trial, epsilon=epsilon)
        except BudgetError as error:
            left = delta - learned.delta_at(epsilon)
            asks = f"epsilon {epsilon_from_mu(learned.mu, left):.3g} at" if left > 0 else "more than"
            raise BudgetError(
                f"learning {path} cost mu {learned.mu:.3g} and delta {learned.delta_at(epsilon):.3g}, which is {asks} "
                f"delta {delta:g}: more than the whole budget of epsilon {epsilon:g}. Nothing was created. Give a "
                "larger budget, or declare bounds, bins and categories from public knowledge."
            ) from error


def _book(learned: Learned, ledger: PrivacyLedger, *, epsilon: float) -> None:
    ledger.spend(
        run=learned.run or "learned domain",
        index=0,
        what="learned domain",
        mu=learned.mu,
        delta_slack=min(1.0, learned.delta_at(epsilon)),
        unit=learned.unit,
    )


def _records_of(path: Path, text: str) -> str:
    """Where the records of a domain file may be: a file of its name, else what its columns would be kept in."""
    endings = (".csv", ".csv.gz", ".parquet", ".npz", ".arrow")
    there = [name for ending in endings if (name := path.with_suffix(ending)).is_file()]
    arrays = re.search(r'^\s*type\s*=\s*"(image|window)"', text, re.MULTILINE)
    return str(there[0]) if there else f"{path.stem}{'.npz' if arrays else '.csv'}"


def _domain_without_ledger(path: Path) -> tuple[str, Learned | None]:
    """The text of a domain file and what learning it cost; refused where it names a ledger already."""
    import tomllib

    from keshi.errors import BudgetError, DomainError
    from keshi.records.domain import listing
    from keshi.records.domain_file import parse_learned

    if not path.is_file():
        raise DomainError(f"there is no domain file {path}. `keshi domain people.csv > {path}` drafts one.")
    try:
        text = path.read_bytes().decode()
        document = tomllib.loads(text)
    except ValueError as error:
        raise DomainError(f"{path} is not TOML: {error}.") from error
    if "ledger" in document:
        raise BudgetError(
            f"{path} names the ledger {document['ledger']} already; a data set gets its budget once. "
            f"`keshi ledger show {path.with_suffix('.ledger')}` prints what remains."
        )
    learned, problems = parse_learned(document.get("learned"))
    if problems:
        raise DomainError(listing(str(path), problems))
    if learned is not None and learned.ledger:
        raise BudgetError(
            f"{path} was learnt at the cost of the ledger {learned.ledger} ([learned] names it); a data set gets its "
            f'budget once. Add the line ledger = "{learned.ledger}" above the first table and go on with that one.'
        )
    return text, learned


def _with_ledger(text: str, identity: str) -> str:
    """The domain file with its ledger named below the format and in [learned]; comments and all else stay."""
    import tomllib

    line = f'ledger = "{identity}"\n'
    if "learned" in tomllib.loads(text):
        text = _with_learned_ledger(text, identity, line)
    wanted = tomllib.loads(text) | {"ledger": identity}
    # tomlkit would put the line between a table and the comment above it
    below_format = re.sub(r"\A((?:#.*\n|\s*\n)*format\s*=.*\n)", lambda found: found[1] + line, text)
    try:
        if below_format != text and tomllib.loads(below_format) == wanted:
            return below_format
    except tomllib.TOMLDecodeError:
        pass  # the format goes over several lines
    return line + text  # the top of a TOML file is always above the first table


def _with_learned_ledger(text: str, identity: str, line: str) -> str:
    import tomllib

    import tomlkit

    wanted = tomllib.loads(text)
    wanted["learned"]["ledger"] = identity
    below_heading = re.sub(
        r"(?m)^(\[learned\][^\n]*\n)(?:ledger *= *[\"']{2} *\n)?", lambda f: f[1] + line, text
    )
    try:
        if tomllib.loads(below_heading) == wanted:
            return below_heading
    except tomllib.TOMLDecodeError:
        pass  # written in another way, such as learned = {mu = ...}
    document = tomlkit.parse(text)
    document["learned"]["ledger"] = identity  # type: ignore[index]
    return tomlkit.dumps(document)


def _open(path: Path | None) -> PrivacyLedger:
    from keshi.errors import BudgetError
    from keshi.privacy.ledger import PrivacyLedger

    if path is None:
        found = sorted(Path.cwd().glob("*.ledger"))
        if len(found) != 1:
            names = ", ".join(ledger.name for ledger in found) or "none"
            raise BudgetError(f"expected one .ledger file in this folder, found {names}. Name the ledger.")
        path = found[0]
    if path.suffix.lower() == ".toml":
        import tomllib

        domain = tomllib.loads(path.read_text(encoding="utf-8"))
        return PrivacyLedger.open(path.with_suffix(".ledger"), expected_id=domain.get("ledger"))
    return PrivacyLedger.open(path)


def _facts(ledger: PrivacyLedger) -> dict[str, Any]:
    from dataclasses import asdict

    entries = ledger.entries()
    kept = {entry.fields["spend"] for entry in entries if entry.kind == "value"}
    return {
        "ledger": ledger.id,
        "budget": entries[0].fields,
        "spent": asdict(ledger.spent()),
        "remaining": asdict(ledger.remaining()),
        "spends": [
            entry.fields | {"number": entry.number, "hash": entry.hash, "value_kept": entry.hash in kept}
            for entry in entries
            if entry.kind == "spend"
        ],
        "adopted": [entry.fields["at"] for entry in entries if entry.kind == "adopted"],
        "head": entries[-1].hash,
    }


def _table(facts: dict[str, Any]) -> str:
    from keshi.cli.inspect import printable
    from keshi.privacy.accounting import epsilon_from_mu

    budget, spent, remaining = facts["budget"], facts["spent"], facts["remaining"]
    unit = f", for {budget['unit']}" if budget["unit"] else ""
    lines = [
        f"{budget['dataset'] or 'data set'}: epsilon {budget['epsilon']:g} at delta {budget['delta']:g}{unit}"
    ]
    rows = [("no.", "date", "run", "measurement", "mu", "alone", "value")]
    for spend in facts["spends"]:
        alone = epsilon_from_mu(spend["mu"], budget["delta"])
        what = f"{spend['index']} {spend['what']}" + (
            f", attempt {spend['attempt'] + 1}" * (spend["attempt"] > 0)
        )
        kept = "kept" if spend["value_kept"] else "not kept"
        number = str(spend["number"])
        rows.append(
            (number, spend["at"][:10], spend["run"], what, f"{spend['mu']:.3g}", f"{alone:.3g}", kept)
        )
    if facts["spends"]:
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines += [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows
        ]
    count = len(facts["spends"])
    lines.append(f"spent      epsilon {spent['epsilon']:.3g} (mu {spent['mu']:.3g}), {count} measurements")
    if remaining["mu"] > 0:
        lines.append(f"remaining  epsilon {remaining['epsilon']:.3g} (mu {remaining['mu']:.3g})")
        if facts["spends"]:
            lines.append("mu^2 adds up; the epsilons do not.")
    else:
        lines.append("remaining  nothing")
    return "\n".join(printable(line.rstrip()) for line in lines)
