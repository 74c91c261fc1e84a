"""Tells when databases and sessions are asked for something, and what that may change."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

from greenlet import gettrace, settrace
from sqlalchemy import Engine, event, inspect
from sqlalchemy.orm import Mapper

# An INSERT changes what is there if it is also an UPDATE.
_CHANGES_NOTHING = re.compile(r"\s*(?:SELECT\b|INSERT\b(?!.*\b(?:UPDATE|REPLACE)\b))", re.I | re.S)
# These change rows that refer to the table, too.
_MAY_CASCADE = re.compile(r"\b(?:DELETE|TRUNCATE|DROP)\b", re.I)


def listen(heard: Callable[[Callable[[object], bool]], object]) -> Callable[[], object]:
    """Have a callable called when something is asked for; return what ends that.

    Before each statement, of any engine; and when anything async of SQLAlchemy's is awaited, which
    runs in a greenlet: ``session.get()`` finds what the session holds without a statement.
    """
    outer = gettrace()

    def sent(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        heard(partial(_may_change, statement))

    def switched(what: Any, greenlets: tuple[Any, Any]) -> None:
        if outer is not None:
            outer(what, greenlets)
        if type(greenlets[1]).__module__.startswith("sqlalchemy."):
            heard(_changes_nothing)

    def end() -> None:
        event.remove(Engine, "before_cursor_execute", sent)
        if gettrace() is switched:
            settrace(outer)

    event.listen(Engine, "before_cursor_execute", sent)
    settrace(switched)
    return end


def _changes_nothing(instance: object) -> bool:
    return False


def _may_change(statement: str, instance: object) -> bool:
    mapper = inspect(type(instance), raiseerr=False)
    if not isinstance(mapper, Mapper) or _CHANGES_NOTHING.match(statement):
        return False
    names = [re.escape(getattr(table, "name", "")) for table in mapper.tables]
    return bool(
        _MAY_CASCADE.search(statement) or re.search(rf"\b(?:{'|'.join(names)})\b", statement)
    )
