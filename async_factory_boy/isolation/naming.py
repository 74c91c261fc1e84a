"""What the database of a run is called, and which databases are left alone."""

from __future__ import annotations

import re
from collections.abc import Collection

from async_factory_boy.exceptions import FixtureError

# The longest name of a database that PostgreSQL, MySQL and MongoDB all take, in characters.
LONGEST = 63


def name_of(given: str, suffix: str) -> str:
    """Return what the database of a run is called, after the one that is given.

    Args:
        given: The name of the database in the URL; it may be empty.
        suffix: What makes it the run's own.
    """
    suffix = re.sub(r"\W", "_", suffix)
    return f"{(given or 'test')[: LONGEST - len(suffix) - 1]}_{suffix}"


def refuse_used(
    where: str, name: str, tables: Collection[str], call: str, kind: str = "tables"
) -> None:
    """Raise if a database has tables, and no name that a database for tests has.

    Such a database is most likely not for tests, and so its server is not either.

    Args:
        where: The URL, without its password.
        name: The name of the database.
        tables: The names of its tables, or of what `kind` says.
        call: What defines the fixtures, such as ``sqlalchemy_database``.
        kind: What they are.

    Raises:
        FixtureError: When the database is left alone.
    """
    if not tables or "test" in name.lower():
        return
    some = ", ".join(sorted(tables)[:3])
    raise FixtureError(
        f"{call}({where!r}): the database {name!r} exists and has {kind} ({some}, ...). Its name "
        "does not contain 'test', so it does not look like a database for tests, and nothing was "
        f"done. Give the URL of another one, such as '{name}_test', which need not exist. If this "
        f"one is meant, write {call}(..., allow_existing=True)."
    )
