"""What check constraints say of the values of a field, where they are of a simple kind.

What is not of one of those kinds is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import Column
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import (
    BinaryExpression,
    BindParameter,
    BooleanClauseList,
    ExpressionClauseList,
    Grouping,
    TextClause,
)
from sqlalchemy.sql.functions import FunctionElement

from async_factory_boy.adapters.fields import Field

__all__ = ["bounds_of", "narrowed"]


class _Condition(NamedTuple):
    """A column, or the length of one, compared with values."""

    column: str
    """What the text has for it; empty where it is known to be the column that is asked for."""
    is_length: bool
    operator: str
    values: Sequence[Any]


_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "<>": "<>"}
_LENGTHS = ("length", "char_length", "character_length")


def bounds_of(condition: Any, column: Column[Any], field: Field) -> Field:
    """Return a field with what a condition on the rows of its table says of its values.

    Args:
        condition: The condition of a check constraint: text, or an expression.
        column: The column of the field.
        field: What is known of the field already.
    """
    for one in _conjuncts(condition, column):
        field = _applied(one, field)
    return field


def _applied(condition: _Condition, field: Field) -> Field:
    operator, values = condition.operator, condition.values
    if condition.is_length:
        if field.type is not str or not all(type(value) is int for value in values):
            return field
        (first, *_), last = values, values[-1]
        facts = {
            "<": {"max_length": first - 1},
            "<=": {"max_length": first},
            ">": {"min_length": first + 1},
            ">=": {"min_length": first},
            "=": {"min_length": first, "max_length": first},
            "between": {"min_length": first, "max_length": last},
        }
        return narrowed(field, **facts.get(operator, {}))
    if operator in ("=", "in"):
        choices = tuple(_as(value, field.type) for value in values)
        if all(type(one) is field.type for one in choices):
            return narrowed(field, choices=choices)
        return field
    if operator == "<>":
        return narrowed(field, min_length=1) if field.type is str and values == [""] else field
    # Strings are compared by the collation of the database, which is not known.
    if not all(_is_of(value, field.type) and _is_ordered(value) for value in values):
        return field
    given = [_as(value, field.type) for value in values]
    if operator == "between":
        return narrowed(field, ge=given[0], le=given[1])
    return narrowed(field, **{{"<": "lt", "<=": "le", ">": "gt", ">=": "ge"}[operator]: given[0]})


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _is_of(value: Any, kind: Any) -> bool:
    """Return whether a value can be told to be one of those that a field takes."""
    if kind in (int, float, Decimal):
        return _is_number(value)
    return kind is not None and type(value) is kind


def _is_ordered(value: Any) -> bool:
    return _is_number(value) or isinstance(value, date | time | timedelta)


def _as(value: Any, kind: Any) -> Any:
    """Return a number as one that the field has, where there is one that is equal."""
    if kind in (int, float, Decimal) and type(value) is not kind:
        converted = kind(str(value)) if kind is not int else int(value)
        return converted if converted == value or kind is not int else value
    return value


def narrowed(field: Field, **facts: Any) -> Field:
    """Return a field that takes what it took, if that agrees with further facts."""
    changes: dict[str, Any] = {}
    for name, value in facts.items():
        known = getattr(field, name)
        if name in ("min_length", "max_length"):
            changes[name] = value if known is None else _tighter(name, known, value)
        elif name == "choices":
            # Nothing would be allowed, which is not to be said by an empty tuple: the database is
            # left to say it.
            changes[name] = tuple(one for one in known or value if one in value) or known
        elif name in ("precision", "scale"):
            changes[name] = value if known is None else min(known, value)
        elif name not in ("ge", "gt", "le", "lt"):
            changes[name] = value
    for closed, opened, name in (("ge", "gt", "min_length"), ("le", "lt", "max_length")):
        bounds = [
            (value, is_open)
            for is_open, one in enumerate((closed, opened))
            for value in (getattr(field, one), facts.get(one))
            if value is not None
        ]
        if bounds:
            value, is_open = bounds[0]
            for other, other_is_open in bounds[1:]:
                if other == value:
                    is_open = max(is_open, other_is_open)
                elif _tighter(name, value, other) == other:
                    value, is_open = other, other_is_open
            changes[closed] = None if is_open else value
            changes[opened] = value if is_open else None
    return replace(field, **changes)


def _tighter(name: str, one: Any, other: Any) -> Any:
    return max(one, other) if name == "min_length" else min(one, other)


# Expressions.


def _conjuncts(condition: Any, column: Column[Any]) -> Iterator[_Condition]:
    """Yield what of a condition is about a column alone, and has to hold by itself."""
    if isinstance(condition, TextClause):
        for one in _read(condition.text):
            if _names(one.column, column):
                yield one
    elif isinstance(condition, Grouping):
        yield from _conjuncts(condition.element, column)
    elif isinstance(condition, BooleanClauseList):
        if condition.operator is operators.and_:
            for clause in condition.clauses:
                yield from _conjuncts(clause, column)
    elif isinstance(condition, BinaryExpression):
        yield from _comparison(condition, column)


_OPERATORS = {
    operators.lt: "<",
    operators.le: "<=",
    operators.gt: ">",
    operators.ge: ">=",
    operators.eq: "=",
    operators.ne: "<>",
    operators.between_op: "between",
    operators.in_op: "in",
}


def _comparison(condition: BinaryExpression[Any], column: Column[Any]) -> Iterator[_Condition]:
    operator = _OPERATORS.get(condition.operator)
    left, right = condition.left, condition.right
    values = _values(right)
    if operator in _FLIPPED and values is None:
        left, values = right, _values(left)
        operator = _FLIPPED[operator]
    is_length = False
    if isinstance(left, FunctionElement) and getattr(left, "name", None) in _LENGTHS:
        arguments = list(left.clauses)
        is_length = len(arguments) == 1
        left = arguments[0] if is_length else left
    if (
        operator is not None
        and values
        and isinstance(left, Column)
        and left.table is column.table
        and left.key == column.key
        and not condition.modifiers.get("symmetric")
    ):
        yield _Condition("", is_length, operator, values)


def _values(element: Any) -> list[Any] | None:
    """Return the values that stand at one side of a comparison, if they are plain ones."""
    if isinstance(element, Grouping):
        return _values(element.element)
    if isinstance(element, BindParameter):
        if element.callable is not None or element.value is None:
            return None
        return list(element.value) if element.expanding else [element.value]
    if isinstance(element, ExpressionClauseList):  # of BETWEEN
        found = [_values(clause) for clause in element.clauses]
        if all(one is not None and len(one) == 1 for one in found):
            return [one[0] for one in found if one]
    return None


# Text.

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<string>'(?:[^'\\]|'')*')
      | (?P<number>\d+(?:\.\d+)?(?![\w.]))
      | (?P<quoted>"[^"\\]+"|`[^`\\]+`|\[[A-Za-z_]\w*\])
      | (?P<word>[A-Za-z_]\w*)
      | (?P<sign>!?~\*?|::|->>?|@>|<@|<=|>=|<>|!=|=|<|>|\(|\)|,|\.|\+|-(?!-)|\*(?!/)|/(?!\*)|%)
    )""",
    re.VERBOSE,
)

# What joins conditions so that one of them need not hold, or takes them apart in another way.
_LEFT_ALONE = {"or", "xor", "case"}


class _Token(NamedTuple):
    kind: str
    text: str


def _tokens(text: str) -> list[_Token]:
    """Return the tokens of a condition; none, if there is anything in it that is not known."""
    tokens, position = [], 0
    text = text.strip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            return []
        kind, found = match.lastgroup, match[match.lastgroup]
        if kind == "word":
            found = found.lower()
            kind = "name" if found not in _WORDS else "word"
        elif kind == "quoted":
            found = found[1:-1]
        tokens.append(_Token(kind, found))
        position = match.end()
    return tokens


_WORDS = {"and", "or", "xor", "not", "between", "in", "is", "null", "case", "when", "then", "else",
          "end", "like", "true", "false", "symmetric", "collate", "any", "all"}  # fmt: skip


def _read(text: str) -> Iterator[_Condition]:
    """Yield what has to hold by itself of a condition that is text."""
    return _read_tokens(_tokens(text))


def _read_tokens(tokens: list[_Token]) -> Iterator[_Condition]:
    inner = _without_parentheses(tokens)
    if inner is not tokens:
        yield from _read_tokens(inner)
        return
    parts: list[list[_Token]] = [[]]
    depth, in_between = 0, False
    for token in tokens:
        if token.kind == "word" and token.text in _LEFT_ALONE and depth == 0:
            return
        depth += {"(": 1, ")": -1}.get(token.text, 0) if token.kind == "sign" else 0
        if depth == 0 and token == ("word", "between"):
            in_between = True
        elif depth == 0 and token == ("word", "and"):
            if not in_between:
                parts.append([])
                continue
            in_between = False
        parts[-1].append(token)
    if len(parts) > 1:
        for part in parts:
            yield from _read_tokens(part)
        return
    found = _read_one(tokens)
    if found is not None:
        yield found


def _without_parentheses(tokens: list[_Token]) -> list[_Token]:
    """Return what is in parentheses, if all of a condition is in one pair of them."""
    if tokens[:1] != [("sign", "(")] or tokens[-1] != ("sign", ")"):
        return tokens
    depth = 0
    for token in tokens[:-1]:
        depth += {"(": 1, ")": -1}.get(token.text, 0) if token.kind == "sign" else 0
        if depth == 0:
            return tokens
    return tokens[1:-1]


# What a condition looks like, a letter for each token: n is a name, v a value.
_OPERAND = r"(?:n\.)?(?P<name>n)|(?P<length>n)\((?:n\.)?(?P<of>n)\)"
_SHAPES = (
    (re.compile(rf"(?:{_OPERAND})(?P<sign><>|!=|<=|>=|=|<|>)(?P<v>v)"), False),
    (re.compile(rf"(?P<v>v)(?P<sign><>|!=|<=|>=|=|<|>)(?:{_OPERAND})"), True),
    (re.compile(rf"(?:{_OPERAND})(?P<sign>b)(?P<v>vav)"), False),
    (re.compile(rf"(?:{_OPERAND})(?P<sign>i)\((?P<v>v(?:,v)*)\)"), False),
)
_LETTERS = {"between": "b", "and": "a", "in": "i"}


def _read_one(tokens: list[_Token]) -> _Condition | None:
    """Return what a condition without AND is, if it is of a known kind."""
    tokens = list(_signed(tokens))
    shape, starts = "", {}
    for index, (kind, text) in enumerate(tokens):
        starts[len(shape)] = index
        if kind == "word":
            shape += _LETTERS.get(text, "?")
        elif kind == "sign":
            shape += text
        else:
            shape += "n" if kind in ("name", "quoted") else "v"
    for pattern, is_flipped in _SHAPES:
        match = pattern.fullmatch(shape)
        if match is None:
            continue
        length = match["length"] is not None
        if length and tokens[starts[match.start("length")]].text not in _LENGTHS:
            return None
        name = tokens[starts[match.start("of" if length else "name")]]
        sign = {"!=": "<>", "b": "between", "i": "in"}.get(match["sign"], match["sign"])
        first, last = starts[match.start("v")], starts[match.start("v")] + len(match["v"])
        values = [_value(one) for one in tokens[first:last] if one.kind in ("string", "number")]
        column = f'"{name.text}"' if name.kind == "quoted" else name.text
        return _Condition(column, length, _FLIPPED[sign] if is_flipped else sign, values)
    return None


def _signed(tokens: list[_Token]) -> Iterator[_Token]:
    """Put the sign of a number to it, where a value and no sum is meant."""
    pending: list[_Token] = []
    before: _Token | None = None
    for token in tokens:
        if token.kind == "sign" and token.text in "+-" and not pending and _begins_value(before):
            pending = [token]
            continue
        if pending and token.kind == "number":
            token = _Token("number", pending.pop().text + token.text)
        yield from pending
        pending = []
        yield token
        before = token
    yield from pending


def _begins_value(before: _Token | None) -> bool:
    if before is None or before.kind == "word":
        return True
    return before.kind == "sign" and before.text in (*_FLIPPED, "!=", "(", ",")


def _value(token: _Token) -> Any:
    if token.kind == "string":
        return token.text[1:-1].replace("''", "'")
    return Decimal(token.text) if "." in token.text else int(token.text)


def _names(text: str, column: Column[Any]) -> bool:
    """Return whether a name in a text is that of a column."""
    if text.startswith('"'):
        return text[1:-1] == column.name
    return text == column.name.lower()
