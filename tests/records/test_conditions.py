from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keshi.errors import ConditionError
from keshi.records.conditions import And, Comparison, Literal, Membership, Missing, Name, Not, Or, Sum, parse


def test_or_binds_looser_than_and_and_not_tightest() -> None:
    tree = parse("a == 1 or b == 2 and not c == 3")
    assert isinstance(tree, Or)
    assert isinstance(tree.parts[0], Comparison)
    assert isinstance(tree.parts[1], And)
    assert isinstance(tree.parts[1].parts[1], Not)
    grouped = parse("(a == 1 or b == 2) and not (c == 3)")
    assert isinstance(grouped, And)
    assert isinstance(grouped.parts[0], Or)


def test_a_range_is_two_comparisons() -> None:
    tree = parse("30 <= age < 50")
    assert [part.order for part in tree.parts] == ["<=", "<"]
    assert tree.parts[0].right.single == tree.parts[1].left.single == Name("age", 6)


def test_names_values_and_sets_are_read_as_written() -> None:
    tree = parse("""`capital-gain` in ['a''b', "c\\"d", -1.5, 2e3, True] AND `x``y` IS NOT missing""")
    inside, present = tree.parts
    assert isinstance(inside, Membership)
    assert inside.column.text == "capital-gain"
    assert [literal.value for literal in inside.values] == ["a'b", 'c"d', -1.5, 2000.0, True]
    assert present == Not(Missing(Name("x`y", present.part.column.at)))
    assert isinstance(parse("a not in ('x')"), Not)
    assert parse("größe <> 1").order == "!="


def test_sums_carry_their_signs() -> None:
    tree = parse("total == a + b - 3")
    assert tree.right == Sum(((1, Name("a", 9)), (1, Name("b", 13)), (1, Literal(-3, 17))))
    assert parse("-a < 3").left.terms[0][0] == -1


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("age = 3", 5, "write =="),
        ("age >", 6, "expected a column or a value"),
        ("a == 1 && b == 2", 8, "write and, or"),
        ("a == 1 b == 2", 8, "expected and, or, or the end"),
        ("x in [1, 2", 11, "','"),
        ("x in 3", 6, "a list of values in brackets"),
        ("(a == 1", 8, "expected ')'"),
        ("a is mising", 6, "is missing"),
        ("a == 'x", 6, "not closed"),
        ("a == 12abc", 6, "no number"),
        ("age", 4, "a comparison"),
        ("1 in [2]", 3, "the name of one column"),
        ("x in [-'a']", 7, "only a number"),
        ("a == 1 - 'b'", 10, "only numbers and columns"),
        ("__import__('os').system('true')", 17, "no number"),
        ("__import__('os')", 11, "a comparison"),
        ("not " * 70 + "a == 1", 241, "more than 60"),
    ],
)
def test_a_mistake_is_shown_at_its_place(text: str, position: int, message: str) -> None:
    with pytest.raises(ConditionError) as error:
        parse(text)
    assert message in str(error.value)
    assert f"(position {position})" in str(error.value)
    _, shown, caret = str(error.value).split("\n")
    assert shown[caret.index("^") :].startswith(text[position - 1 :][:20])


@pytest.mark.parametrize("text", ["", "  \n", "a == 1 or " * 3_000 + "b == 1", None, 3])
def test_what_is_no_condition_at_all_is_refused(text) -> None:
    with pytest.raises(ConditionError):
        parse(text)


@given(st.text(alphabet="ab1.5'\"`<>=!()[]{},+- \\\n&#intosmgd", max_size=40))
def test_any_text_is_read_or_refused_and_nothing_else_happens(text: str) -> None:
    try:
        parse(text)
    except ConditionError as error:
        assert "\n  " in str(error) or "empty" in str(error)  # noqa: PT017
