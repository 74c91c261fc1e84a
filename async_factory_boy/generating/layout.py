"""Lines of Python as formatters lay them out: what is too long goes on, bracket by bracket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import StringIO
from textwrap import wrap
from tokenize import NAME, OP, TokenInfo, generate_tokens
from typing import NamedTuple

__all__ = ["WIDTH", "comment", "laid_out", "renamed"]

WIDTH = 88
"""What Black and Ruff allow if nobody says otherwise."""

_OPENING, _CLOSING = "([{", ")]}"


class _Brackets(NamedTuple):
    before: str
    parts: list[str]
    after: str


def laid_out(head: str, source: str, tail: str = "", *, indent: int = 0) -> list[str]:
    """Return the lines of an expression with what stands before and after it.

    Args:
        head: What is before it in its first line: ``name = ``.
        source: The expression, in one line.
        tail: What is after it.
        indent: By how many spaces the lines are indented.
    """
    room = " " * indent
    flat = f"{room}{head}{source}{tail}"
    brackets = _brackets(source) if len(flat) > WIDTH else None
    if brackets is None:
        return [flat]
    before, parts, after = brackets
    first, last = f"{room}{head}{before}", f"{room}{after}{tail}"
    body = f"{room}    {', '.join(parts)}"
    if len(body) <= WIDTH:
        return [first, body, last]
    # No comma follows what stands alone.
    comma = "," if len(parts) > 1 or before.endswith("[") else ""
    lines = [line for one in parts for line in laid_out("", one, comma, indent=indent + 4)]
    return [first, *lines, last]


def comment(text: str, *, indent: int) -> list[str]:
    """Return the lines of a comment."""
    first = f"{' ' * indent}# "
    wrapped = wrap(
        text, WIDTH, initial_indent=first, subsequent_indent=f"{first}  ",
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    return wrapped


def renamed(source: str, name_of: Callable[[str], str]) -> str:
    """Return an expression in which names are called otherwise.

    Args:
        source: The expression, in one line.
        name_of: Returns what a name is called. It is not asked for attributes, nor for keywords.
    """
    tokens = _tokens(source)
    text, end = "", 0
    for before, token, after in zip([None, *tokens], tokens, [*tokens[1:], None], strict=False):
        name = token.string
        is_attribute = before is not None and before.string == "."
        is_keyword = after is not None and after.string == "=" and before is not None
        if token.type == NAME and not is_attribute and not is_keyword:
            name = name_of(name)
        text += source[end : token.start[1]] + name
        end = token.end[1]
    return text + source[end:]


def _tokens(source: str) -> list[TokenInfo]:
    return [one for one in generate_tokens(StringIO(source).readline) if one.string.strip()]


def _brackets(source: str) -> _Brackets | None:
    """Return the last of the outermost brackets with something in them."""
    found = None
    for first, last, commas in _outermost(source):
        if last - first > 1:
            ends = [*commas, last]
            starts = [first + 1, *(one + 1 for one in commas)]
            parts = [source[a:b].strip() for a, b in zip(starts, ends, strict=True)]
            found = _Brackets(source[: first + 1], list(filter(None, parts)), source[last:])
    return found


def _outermost(source: str) -> Iterator[tuple[int, int, list[int]]]:
    """Yield where outermost brackets open and close, and where commas separate what is within."""
    depth, first, commas = 0, 0, list[int]()
    in_lambda = False
    for token in _tokens(source):
        place = token.start[1]
        if token.type == NAME and token.string == "lambda" and depth == 1:
            in_lambda = True
        if token.type != OP:
            continue
        if token.string in _OPENING:
            depth += 1
            if depth == 1:
                first, commas, in_lambda = place, [], False
        elif token.string in _CLOSING:
            depth -= 1
            if depth == 0:
                yield first, place, commas
        elif token.string == ":" and depth == 1:
            in_lambda = False
        elif token.string == "," and depth == 1 and not in_lambda:
            commas.append(place)
