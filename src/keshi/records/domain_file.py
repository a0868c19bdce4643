"""The domain file: a Domain as TOML, and the draft that `keshi domain` writes for the owner to fill in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from keshi.errors import DomainError
from keshi.records.column_kinds import Categorical, Column, Image, Numerical, Ordinal, Timestamp, Window
from keshi.records.constraints import parse_constraints
from keshi.records.domain import Domain, Learned, listing, table_name
from keshi.records.domain_checks import learned_problems
from keshi.records.identifiers import parse_identifiers

FORMAT = "keshi-domain-1"
_TYPES: dict[str, type[Any]] = {
    "categorical": Categorical,
    "ordinal": Ordinal,
    "numerical": Numerical,
    "timestamp": Timestamp,
    "image": Image,
    "window": Window,
}
_NEEDED = {
    "categorical": ("categories",),
    "ordinal": ("categories",),
    "numerical": ("lower", "upper"),
    "timestamp": ("lower", "upper"),
    "image": ("height", "width"),
    "window": ("length", "channels", "lower", "upper"),
}


def read(path: str | Path) -> Domain:
    """Read a domain file.

    Raises:
        DomainError: naming every problem of the file at once.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")  # an editor may have put a byte order mark
    except FileNotFoundError as error:
        raise DomainError(
            f"{path}: there is no such domain file; `keshi domain FILE > {path.name}` drafts one."
        ) from error
    except IsADirectoryError as error:
        raise DomainError(f"{path}: expected a domain file, this is a folder.") from error
    except UnicodeDecodeError as error:
        raise DomainError(f"{path}: a domain file is UTF-8 text, and this is not.") from error
    return loads(text, source=str(path))


def loads(text: str, *, source: str = "the domain", difference: bool | None = None) -> Domain:
    """Parse the text of a domain file; `source` names it in messages.

    `difference` is taken of constraints that do not say it.
    """
    try:
        document = tomlkit.parse(text).unwrap()
    except TOMLKitError as error:
        raise DomainError(f"{source}: this is not TOML: {error}") from error
    if document.get("format") != FORMAT:
        raise DomainError(
            f'{source}: the first line must be format = "{FORMAT}", got {document.get("format")!r}. '
            "`keshi domain FILE > people.toml` drafts a domain file."
        )
    known = {"format", "label", "outside", "ignore", "missing_values", "ledger", "learned", "columns"}
    known |= {"constraints", "identifiers"}
    problems = [
        f"unknown setting {key!r}; expected {sorted(known)}." for key in sorted(set(document) - known)
    ]
    columns: dict[str, Column] = {}
    tables = document.get("columns", {})
    if not isinstance(tables, dict):
        problems.append(f"columns must be tables such as [columns.age], got {tables!r}.")
        tables = {}
    for name, table in tables.items():
        column, found = _parse_column(name, table)
        problems += found
        if column is not None:
            columns[name] = column
    learned, found = parse_learned(document.get("learned"))
    problems += found
    constraints, found = parse_constraints(document.get("constraints", []), difference=difference)
    problems += found
    identifiers, found = parse_identifiers(document.get("identifiers", {}))
    problems += found
    if problems:
        raise DomainError(listing(source, problems))
    return Domain(
        columns,
        label=document.get("label"),
        outside=document.get("outside", "clip"),
        ignore=document.get("ignore", ()),
        missing_values=document.get("missing_values", ()),
        ledger=document.get("ledger"),
        learned=learned,
        constraints=constraints,
        identifiers=identifiers,
        source=source,
    )


def dumps(
    domain: Domain,
    *,
    comments: Sequence[str] = (),
    column_comments: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """The text of the domain file; `loads` gives an equal Domain back.

    Args:
        domain: What to write.
        comments: Lines for the reader, below the format.
        column_comments: Lines for the reader of a column's table.
    """
    document = tomlkit.document()
    document.add("format", tomlkit.item(FORMAT))
    for line in comments:
        document.add(tomlkit.comment(line))
    document.add("outside", tomlkit.item(domain.outside))
    for key in ("label", "ledger"):
        if getattr(domain, key) is not None:
            document.add(key, getattr(domain, key))
    for key in ("ignore", "missing_values"):
        if getattr(domain, key):
            document.add(key, list(getattr(domain, key)))
    columns = tomlkit.table(is_super_table=True)
    for name, column in domain.columns.items():
        table = tomlkit.table()
        for line in (column_comments or {}).get(name, ()):
            table.add(tomlkit.comment(line))
        for key, value in _column_table(column).items():
            table.add(key, value)
        columns.add(tomlkit.key([name]) if not name else tomlkit.key(name), table)
    document.add("columns", columns)
    if domain.identifiers:
        document.add("identifiers", {name: one.to_toml() for name, one in domain.identifiers.items()})
    if domain.constraints:
        rules = tomlkit.aot()
        for constraint in domain.constraints:
            rules.append(tomlkit.item(constraint.to_table()))
        document.add("constraints", rules)
    if domain.learned is not None:  # last, or a setting added below the first ones would land in it
        cost = tomlkit.table()
        cost.add(
            tomlkit.comment("What learning the above cost; every release from it owes this too. Keep it.")
        )
        for key, value in vars(domain.learned).items():
            if value != "":
                cost.add(key, value)
        document.add("learned", cost)
    return tomlkit.dumps(document)


def _type_name(column: Column) -> str:
    return next(name for name, kind in _TYPES.items() if type(column) is kind)


def _column_table(column: Column) -> dict[str, Any]:
    table: dict[str, Any] = {"type": _type_name(column)}
    for key, value in vars(column).items():
        default = type(column).__dataclass_fields__[key].default
        if value is None or value is default is False or (key == "bins" and not value):
            continue
        table[key] = list(value) if isinstance(value, tuple) else value
    return table


def _parse_column(name: str, table: Any) -> tuple[Column | None, list[str]]:
    if not isinstance(table, dict):
        return None, [f"[columns.{name}] must be a table with a type, got {table!r}."]
    kind = table.get("type")
    if kind not in _TYPES:
        return None, [f"column {name!r}: type must be one of {', '.join(_TYPES)}; got {kind!r}."]
    fields = {key: value for key, value in table.items() if key != "type"}
    absent = [key for key in _NEEDED[kind] if key not in fields]
    problems = []
    if absent:
        problems.append(
            f"column {name!r}: {' and '.join(absent)} not declared; fill in from public knowledge, not from the "
            "records."
        )
    known = set(_TYPES[kind].__dataclass_fields__)
    problems += [
        f"column {name!r}: unknown setting {key!r}; a {kind} column has {sorted(known)}."
        for key in sorted(set(fields) - known)
    ]
    if problems:
        return None, problems
    if kind == "timestamp":
        for key in ("lower", "upper"):
            if isinstance(fields[key], date):  # TOML has moments and days of its own
                fields[key] = fields[key].isoformat()
        if isinstance(fields.get("bins"), list):
            fields["bins"] = [cut.isoformat() if isinstance(cut, date) else cut for cut in fields["bins"]]
    return _TYPES[kind](**fields), []


def parse_learned(table: Any) -> tuple[Learned | None, list[str]]:
    """The table [learned] of a domain file, None where there is none, and everything that is wrong with it."""
    if table is None:
        return None, []
    if not isinstance(table, dict):
        return None, [f"learned must be a table [learned] with mu, delta, unit and epsilon, got {table!r}."]
    known = set(Learned.__dataclass_fields__)
    problems = [
        f"learned: unknown setting {key!r}; expected {sorted(known)}." for key in sorted(set(table) - known)
    ]
    absent = [key for key in ("mu", "delta", "unit", "epsilon") if key not in table]
    if absent:
        problems.append(
            f"learned: {' and '.join(absent)} not there; without them nobody can say what the learning cost. "
            "Restore the table as `keshi domain --epsilon` wrote it."
        )
        return None, problems
    learned = Learned(**{key: value for key, value in table.items() if key in known})
    problems += learned_problems(learned)
    return (None, problems) if problems else (learned, [])


_NUMBER_BINS = (
    "# bins = [?, ?]                 # cut points where a law or a code book has classes; may be left out"
)
_NUMBER_SCALE = (
    '# scale = "log"                # or "linear"; left out, log where the bounds are 65,536 or more apart'
)
_NUMBER_DECIMALS = "# decimals = 2                 # digits after the point, as people write such numbers"
_MOMENT_RESOLUTION = '# resolution = "day"            # dates without a time of day; or "hour", "minute"'
_MOMENT_BINS = (
    '# bins = ["2010-01-01T00:00:00", "2020-01-01T00:00:00"]   # public cut points; may be left out'
)

# What the owner is told to fill in, by the type of column that a file suggests.
_DRAFTS = {
    "text": (
        'type = "categorical"',
        '# categories = ["...", "..."]   # all values that are possible, from a code book; not read off the file',
        "# other = true                  # a cell for values that are not listed",
    ),
    "boolean": ('type = "categorical"', "categories = [false, true]"),
    "integer": (
        'type = "numerical"            # or "categorical" with categories = [1, 2, 3] where it is a code',
        "# lower = ?                     # the smallest value that is possible, from public knowledge",
        "# upper = ?",
        _NUMBER_BINS,
        _NUMBER_SCALE,
        "integer = true",
    ),
    "number": (
        'type = "numerical"',
        "# lower = ?                     # the smallest value that is possible, from public knowledge",
        "# upper = ?",
        _NUMBER_DECIMALS,
        _NUMBER_BINS,
        _NUMBER_SCALE,
    ),
    "timestamp": (
        'type = "timestamp"',
        '# lower = "2000-01-01T00:00:00"',
        '# upper = "2030-01-01T00:00:00"',
        _MOMENT_RESOLUTION,
        _MOMENT_BINS,
    ),
    "code": (
        'type = "categorical"',
        "# categories = [0, 1, 2]        # all classes that are possible, from a code book; not read off the file",
    ),
}
_ARRAY_BOUNDS = (
    "# lower = ?                     # the smallest value that is possible, one number or one for each channel",
    "# upper = ?                     # such as the range of the sensor: [16.0, 16.0, 16.0, 2000.0, 2000.0, 2000.0]",
)
_MISSING = "# missing = true                # a missing value is a cell of its own"


def array_lines(shape: Sequence[int], dtype: str) -> list[str]:
    """What is drafted of a column of arrays: its shape and type. uint8 in two or three axes is an image."""
    if dtype == "uint8" and len(shape) in (2, 3):
        channels = shape[2] if len(shape) == 3 else 1
        sides = [f"height = {shape[0]}", f"width = {shape[1]}", f"channels = {channels}"]
        return ['type = "image"', *sides, "lower = 0", "upper = 255", "integer = true"]
    if len(shape) == 3:
        sides = [f"height = {shape[0]}", f"width = {shape[1]}", f"channels = {shape[2]}"]
        return ['type = "image"', *sides, "integer = false", *_ARRAY_BOUNDS]
    if len(shape) == 2:
        kind = 'type = "window"                # pieces of a recording; for an image: type, height, width'
        sides = [f"length = {shape[0]}               # samples", f"channels = {shape[1]}"]
        return [kind, *sides, *_ARRAY_BOUNDS, "# rate = ?                      # samples per second"]
    raise DomainError(
        f"a record of shape {tuple(shape)} is neither an image (height, width[, channels]) nor a window "
        "(length, channels); reshape the array."
    )


def draft(
    types: Mapping[str, str],
    *,
    source: str,
    arrays: Mapping[str, tuple[Sequence[int], str]] | None = None,
) -> str:
    """A domain file to fill in: names and types only, because bounds, bins and categories would reveal records.

    Args:
        types: Column name -> "text", "integer", "number", "boolean", "timestamp", "code" or "array".
        source: Name of the file they come from.
        arrays: Shape and dtype of the records of each "array".
    """
    source = " ".join(source.split())  # a comment ends where the line ends
    lines = [
        f'format = "{FORMAT}"',
        f"# Drafted from the column names and types of {source}. Nothing else of it was read: a bound or a category",
        "# read off the records would reveal someone. Fill in the lines that begin with # from public knowledge",
        "# (a code book, a law, common sense).",
        '# label = "..."                   # the class column, categorical, if there is one',
        'outside = "clip"                  # values beyond the bounds: "clip" or "refuse"',
        '# ignore = ["..."]                # columns to leave out: identifiers, and whose record it is (--subject)',
        '# missing_values = ["?"]          # texts that mean "missing", beside an empty field',
        '# identifiers = { id = "uuid" }   # made up for every synthetic record ("sequence" or "uuid"), never read',
    ]
    for name, kind in types.items():
        lines += [
            "",
            table_name(name),
        ]
        lines += [*_DRAFTS[kind], _MISSING] if kind in _DRAFTS else array_lines(*(arrays or {})[name])
    return "\n".join(lines) + "\n"
