"""A little language for conditions on records, and its parser. Nothing written in it is ever run as code.

    income == '>50K' and 30 <= age < 50 and workclass in ['Private', 'State-gov'] or `capital-gain` is missing

Grammar, loosest first (words may also be written in capitals):

    or     = and ("or" and)*
    and    = not ("and" not)*
    not    = "not" not | "(" or ")" | test
    test   = sum (("==" | "!=" | "<" | "<=" | ">" | ">=") sum)+
           | column ["not"] "in" "[" value ("," value)* "]"
           | column "is" ["not"] "missing"
    sum    = operand (("+" | "-") operand)*
    operand = column | value                   column: a name, in backticks where it is no plain word
    value  = number | 'text' | "text" | true | false

The parser knows no columns; `bound_conditions.bind` gives the names their meaning. Imports nothing heavy.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from keshi.errors import ConditionError
from keshi.records.column_kinds import Value

LONGEST = 20_000  # characters of a condition
DEEPEST = 60  # brackets and `not` in each other: each takes a few frames of Python's stack
ORDER = ("==", "!=", "<=", ">=", "<", ">")
_WORDS = ("and", "or", "not", "in", "is", "missing", "true", "false")
_TOKEN = re.compile(
    r"""\s*(?:
    (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
    | (?P<word>[^\W\d]\w*)
    | `(?P<name>(?:[^`]|``)+)`
    | '(?P<single>(?:[^'\\]|\\.|'')*)'
    | "(?P<double>(?:[^"\\]|\\.|"")*)"
    | (?P<sign>==|!=|<=|>=|<>|[<>=()\[\]{},+-])
    )""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Name:
    """A column, at a position of the text (counted from 0)."""

    text: str
    at: int


@dataclass(frozen=True)
class Literal:
    """A value as it is written."""

    value: Value
    at: int


@dataclass(frozen=True)
class Sum:
    """Columns and values, each added (1) or subtracted (-1)."""

    terms: tuple[tuple[int, Name | Literal], ...]

    @property
    def at(self) -> int:
        return self.terms[0][1].at

    @property
    def single(self) -> Name | Literal | None:
        """The only term, where there is only one and it is not subtracted."""
        return self.terms[0][1] if len(self.terms) == 1 and self.terms[0][0] == 1 else None


@dataclass(frozen=True)
class Comparison:
    left: Sum
    order: str
    right: Sum
    at: int


@dataclass(frozen=True)
class Membership:
    column: Name
    values: tuple[Literal, ...]


@dataclass(frozen=True)
class Missing:
    column: Name


@dataclass(frozen=True)
class Not:
    part: Any


@dataclass(frozen=True)
class And:
    parts: tuple[Any, ...]


@dataclass(frozen=True)
class Or:
    parts: tuple[Any, ...]


Condition = Comparison | Membership | Missing | Not | And | Or


def complaint(text: str, at: int, what: str) -> ConditionError:
    """An error that shows the place in the condition."""
    line = text.replace("\n", " ").replace("\t", " ")
    start = max(0, at - 50)
    shown = line[start : at + 40]
    return ConditionError(f"{what} (position {at + 1})\n  {shown}\n  {' ' * (at - start)}^")


def parse(text: str) -> Condition:
    """The tree of a condition.

    Raises:
        ConditionError: showing the place that cannot be read, and what was expected there.
    """
    if not isinstance(text, str):
        raise ConditionError(f'a condition is a text such as "age >= 30", got {text!r}.')
    if not text.strip():
        raise ConditionError('the condition is empty; write one such as "age >= 30", or leave it out.')
    if len(text) > LONGEST:
        raise ConditionError(
            f"the condition has {len(text):,} characters, and at most {LONGEST:,} are read; shorten it."
        )
    return _Parser(text).whole()


@dataclass(frozen=True)
class _Token:
    kind: str  # "number", "text", "name", "end", or the sign or word itself
    value: Any
    at: int


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    place = 0
    while text[place:].strip():
        start = place + len(text[place:]) - len(text[place:].lstrip())
        match = _TOKEN.match(text, place)
        if match is None:
            raise complaint(text, start, _unreadable(text[start:]))
        kind, place = str(match.lastgroup), match.end()
        raw = match[kind]
        word = raw.lower()
        if kind == "number":
            value = int(raw) if raw.isdigit() and len(raw) < 40 else float(raw)
            found.append(_Token("number", value, start))
        elif kind in ("single", "double"):
            quote = "'" if kind == "single" else '"'
            plain = re.sub(r"\\(.)", r"\1", raw.replace(quote * 2, quote), flags=re.DOTALL)
            found.append(_Token("text", plain, start))
        elif kind == "name":
            found.append(_Token("name", raw.replace("``", "`"), start))
        elif kind == "word" and word in _WORDS and (raw in (word, word.upper()) or raw in ("True", "False")):
            found.append(_Token(word, raw, start))
        elif kind == "word":
            found.append(_Token("name", raw, start))
        else:
            found.append(_Token("!=" if raw == "<>" else raw, raw, start))
    return [*found, _Token("end", "the end", len(text))]


def _unreadable(rest: str) -> str:
    if rest[0] in "'\"`":
        return f"the quote {rest[0]} is not closed"
    if rest[0] in "&|":
        return f"{rest[0]!r} is not read; write and, or"
    if rest[0].isdigit() or rest[0] == ".":
        return (
            "this is no number; put texts in quotes, and a column whose name begins like this in `backticks`"
        )
    return f"{rest[0]!r} is not read here; put texts in quotes, and a column with such a name in `backticks`"


class _Parser:
    """Recursive descent over the tokens of one condition."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = _tokens(text)
        self.place = 0
        self.depth = 0

    @property
    def next(self) -> _Token:
        return self.tokens[self.place]

    def take(self, *kinds: str) -> _Token | None:
        if self.next.kind not in kinds:
            return None
        self.place += 1
        return self.tokens[self.place - 1]

    def fail(self, expected: str) -> ConditionError:
        if self.next.kind == "=":
            return complaint(self.text, self.next.at, "'=' is not read; write == for \"equals\"")
        came = self.next.value if self.next.kind == "end" else repr(self.next.value)
        return complaint(self.text, self.next.at, f"expected {expected}, got {came}")

    def whole(self) -> Condition:
        found = self.either()
        if self.next.kind != "end":
            raise self.fail("and, or, or the end")
        return found

    def either(self) -> Condition:
        return self.several("or", lambda: self.several("and", self.negation, And), Or)

    def several(self, word: str, part: Callable[[], Condition], kind: type[And] | type[Or]) -> Condition:
        parts = [part()]
        while self.take(word):
            parts.append(part())
        return parts[0] if len(parts) == 1 else kind(tuple(parts))

    def negation(self) -> Condition:
        start = self.next
        if not self.take("not", "("):
            return self.test()
        self.depth += 1
        if self.depth > DEEPEST:
            raise complaint(self.text, start.at, f"more than {DEEPEST} brackets or `not` in each other")
        found: Condition
        if start.kind == "not":
            found = Not(self.negation())
        else:
            found = self.either()
            if not self.take(")"):
                raise self.fail("')', and, or or")
        self.depth -= 1
        return found

    def test(self) -> Condition:
        first = self.sum()
        column = first.single if isinstance(first.single, Name) else None
        start = self.next
        if self.take("is"):
            negated = self.take("not") is not None
            if column is None or not self.take("missing"):
                raise self.fail("`column is missing` or `column is not missing`")
            return Not(Missing(column)) if negated else Missing(column)
        if start.kind == "not" or start.kind == "in":
            self.take("not")
            if column is None or not self.take("in"):
                raise self.fail("in, after the name of one column")
            inside = Membership(column, self.values())
            return Not(inside) if start.kind == "not" else inside
        sums, orders = [first], []
        while token := self.take(*ORDER):
            orders.append(token)
            sums.append(self.sum())
        if not orders:
            raise self.fail("a comparison such as ==, in [...] or is missing")
        tests = tuple(
            Comparison(left, order.kind, right, order.at)
            for (left, right), order in zip(pairwise(sums), orders, strict=True)
        )
        return tests[0] if len(tests) == 1 else And(tests)

    def sum(self) -> Sum:
        terms = []
        sign = self.take("-", "+")
        while True:
            factor = -1 if sign is not None and sign.kind == "-" else 1
            operand = self.operand()
            if factor == -1 and isinstance(operand, Literal):
                if isinstance(operand.value, str | bool):
                    raise complaint(self.text, operand.at, "only numbers and columns are added or subtracted")
                operand, factor = Literal(-operand.value, operand.at), 1
            terms.append((factor, operand))
            sign = self.take("-", "+")
            if sign is None:
                return Sum(tuple(terms))

    def operand(self) -> Name | Literal:
        if token := self.take("name"):
            return Name(token.value, token.at)
        return self.value("a column or a value")

    def value(self, expected: str = "a value") -> Literal:
        if token := self.take("number", "text"):
            return Literal(token.value, token.at)
        if token := self.take("true", "false"):
            return Literal(token.kind == "true", token.at)
        raise self.fail(f"{expected} (texts stand in quotes)")

    def values(self) -> tuple[Literal, ...]:
        brackets = {"[": "]", "(": ")", "{": "}"}
        opening = self.take(*brackets)
        if opening is None:
            raise self.fail("a list of values in brackets, such as ['a', 'b']")
        found = [self.signed()]
        while self.take(","):
            found.append(self.signed())
        if not self.take(brackets[opening.kind]):
            raise self.fail(f"',' or {brackets[opening.kind]!r}")
        return tuple(found)

    def signed(self) -> Literal:
        minus = self.take("-")
        literal = self.value()
        if minus is None:
            return literal
        if isinstance(literal.value, str | bool):
            raise complaint(self.text, minus.at, "only a number can have a minus")
        return Literal(-literal.value, minus.at)
