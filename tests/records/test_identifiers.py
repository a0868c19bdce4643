from __future__ import annotations

import uuid

import pandas as pd
import pytest

from keshi.errors import DomainError
from keshi.records.column_kinds import Numerical
from keshi.records.domain import Domain
from keshi.records.identifiers import Identifier, IdentifierWriter
from keshi.records.tables import TableEncoder

COLUMNS = {"age": Numerical(0, 99), "pay": Numerical(0, 9)}
FRAME = pd.DataFrame({"age": [1.0, 2.0, 3.0], "pay": [4.0, 5.0, 6.0]})


def domain(identifiers) -> Domain:
    return Domain(COLUMNS, identifiers=identifiers)


def test_numbers_go_on_from_batch_to_batch_and_stand_in_their_place() -> None:
    made = domain(
        {"row": "sequence", "u": Identifier("uuid", "age"), "v": Identifier("sequence", "u")}
    ).identifiers
    writer = IdentifierWriter(made, seed=3)
    first, second = writer.add(FRAME), writer.add(FRAME)
    assert list(first.columns) == ["row", "age", "u", "v", "pay"]
    assert [*first["row"], *second["row"]] == [1, 2, 3, 4, 5, 6]
    assert first["row"].dtype == "int64"
    drawn = [*first["u"], *second["u"]]
    assert len(set(drawn)) == 6
    assert all(uuid.UUID(text).version == 4 and str(uuid.UUID(text)) == text for text in drawn)


def test_uuids_come_from_the_seed_and_differ_between_columns() -> None:
    made = domain({"u": "uuid", "v": "uuid"}).identifiers
    one, again = (IdentifierWriter(made, seed=3).add(FRAME) for _ in range(2))
    pd.testing.assert_frame_equal(one, again)
    other = IdentifierWriter(made, seed=4).add(FRAME)
    assert not set(one["u"]) & {*other["u"], *one["v"]}


def test_identifiers_follow_a_column_in_the_order_in_which_they_are_listed() -> None:
    made = domain({name: Identifier("sequence", "age") for name in "xyz"}).identifiers
    assert list(IdentifierWriter(made, seed=0).add(FRAME).columns) == ["age", "x", "y", "z", "pay"]


def test_an_identifier_is_not_read_and_may_be_absent() -> None:
    known = domain({"id": "uuid"})
    plain = TableEncoder(known).encode(FRAME).vectors
    for ids in (["secret"] * 3, [None, 3, "x"]):
        assert (TableEncoder(known).encode(FRAME.assign(id=ids)).vectors == plain).all()


def test_identifiers_are_written_to_the_domain_file_and_come_back() -> None:
    known = domain({"my id": "sequence", "u": Identifier("uuid", "age")})
    assert Domain.loads(known.dumps()) == known
    inline = known.dumps().replace('[identifiers]\n"my id" = "sequence"', "").split("[identifiers.u]")[0]
    inline = inline.replace("outside", 'identifiers = { u = { kind = "uuid", after = "age" } }\noutside')
    assert Domain.loads(inline).identifiers == {"u": Identifier("uuid", "age")}


@pytest.mark.parametrize(
    ("identifiers", "options", "message"),
    [
        ({"age": "uuid"}, {}, "also declared as a column"),
        ({"id": "serial"}, {}, 'expected "sequence" or "uuid"'),
        ({"id": 3}, {}, 'expected "sequence" or "uuid"'),
        ({"id": "uuid"}, {"ignore": ("id",)}, "also under ignore"),
        ({"id": Identifier("uuid", "nowhere")}, {}, "after must be a column"),
        ({"a": Identifier("uuid", "b"), "b": Identifier("uuid", "a")}, {}, "follow each other"),
    ],
)
def test_a_wrong_identifier_is_refused(identifiers, options, message: str) -> None:
    with pytest.raises(DomainError, match=message):
        Domain(COLUMNS, identifiers=identifiers, **options)
