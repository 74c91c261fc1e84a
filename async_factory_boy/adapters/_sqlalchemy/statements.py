"""Tells of the statements that are sent to databases, and of what they may change."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

from sqlalchemy import Engine, event, inspect
from sqlalchemy.orm import Mapper

# An INSERT changes what is there if it is also an UPDATE.
_CHANGES_NOTHING = re.compile(r"\s*(?:SELECT\b|INSERT\b(?!.*\b(?:UPDATE|REPLACE)\b))", re.I | re.S)
# These change rows that refer to the table, too.
_MAY_CASCADE = re.compile(r"\b(?:DELETE|TRUNCATE|DROP)\b", re.I)


def listen(heard: Callable[[Callable[[object], bool]], object]) -> Callable[[], object]:
    """Have a callable called before each statement, of any engine; return what ends that."""

    def sent(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        heard(partial(_may_change, statement))

    event.listen(Engine, "before_cursor_execute", sent)
    return partial(event.remove, Engine, "before_cursor_execute", sent)


def _may_change(statement: str, instance: object) -> bool:
    mapper = inspect(type(instance), raiseerr=False)
    if not isinstance(mapper, Mapper) or _CHANGES_NOTHING.match(statement):
        return False
    names = [re.escape(getattr(table, "name", "")) for table in mapper.tables]
    return bool(
        _MAY_CASCADE.search(statement) or re.search(rf"\b(?:{'|'.join(names)})\b", statement)
    )
