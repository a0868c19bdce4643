"""How many records fit in memory at a time, and which are too large to train on."""

from __future__ import annotations

import math

from keshi.errors import DomainError
from keshi.records.column_kinds import MOST_CLASSES, Categorical
from keshi.records.domain import Domain, table_name

SAMPLE_ROWS = 65_536  # records generated at a time: memory does not grow with their number
BATCH_VALUES = 2**24  # numbers in a batch of encoded records, 128 MiB: neither does it grow with their width
ARRAY_WORKSPACE = (
    8  # numbers between the layers of a convolutional generator for each one of the record, or a few more
)
WIDEST_MIXTURE = (
    65_536  # encoded record of a table: a product mixture joins rare categories, and has no layer so wide
)


def batch_rows(domain: Domain, most: int) -> int:
    return max(1, min(most, BATCH_VALUES // domain.width))


def check_width(domain: Domain, *, mixture: bool = False) -> None:
    """Raise where the generator of the domain's records would be too large to train, or has nothing to generate.

    Args:
        domain: Says how wide an encoded record is.
        mixture: Whether the generator is a product mixture, as preset keshi has for tables, and not a network.

    Raises:
        DomainError: naming the column that takes most.
    """
    from keshi.synthesis.generators import TableGenerator, generator_type

    if not domain.slots:
        raise DomainError(f"{domain.source}: there is no column beside the label; nothing to synthesize.")
    kind = generator_type(domain)
    widest = WIDEST_MIXTURE if mixture else kind.widest
    if domain.width <= widest and domain.n_classes <= MOST_CLASSES:
        return
    cells = {name: column.cells for name, column in domain.columns.items() if isinstance(column, Categorical)}
    entries = {name: math.prod(column.shape) for name, column in domain.array_columns.items()}
    told = (
        f"{domain.source}: a record would take {domain.width:,} numbers and {domain.n_classes:,} classes, and at most "
        f"{widest:,} and {MOST_CLASSES:,} can be trained on; "
    )
    if entries and domain.n_classes <= MOST_CLASSES:
        name = max(entries, key=lambda name: entries[name])
        told += f"column {name!r} alone takes {entries[name]:,}. Declare smaller arrays in {table_name(name)}"
        beside = kind is TableGenerator and entries[name] > widest
        raise DomainError(
            told + (", or put all other columns but the label under ignore." if beside else ".")
        )
    name = max(cells, key=lambda name: cells[name])
    raise DomainError(
        f"{told}column {name!r} alone has {cells[name]:,} categories. List fewer, coarser ones in {table_name(name)} "
        "and set other = true, or put the column under ignore."
    )
