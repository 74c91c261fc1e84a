"""What a factory for a ``Table`` makes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from sqlalchemy import Table

from async_factory_boy.exceptions import ConfigurationError


class TableRow:
    """A row of a ``Table``: what a factory whose model is a ``Table`` builds and returns.

    ```python
    user = await UserFactory.create_async(databases_database=database)
    user.id, user["id"], dict(user)
    ```

    Its columns can be read and set, both as attributes and as items, under their ``key``. One that
    was given no value reads as ``None``. Two rows are equal if they are of one table and have
    equal values.

    Args:
        table: The table, which is ``__table__`` of the row.
        values: Values of columns.

    Raises:
        ConfigurationError: When one of the values is for a column that the table does not have.
    """

    __slots__ = ("__table__", "_values")

    __table__: Table
    _values: dict[str, Any]

    def __init__(self, table: Table, values: Mapping[str, Any]) -> None:
        for name in values:
            if name not in table.c:
                raise ConfigurationError(
                    name,
                    f"is not a column of the table; it has: {', '.join(table.c.keys())}. If only "
                    "other declarations need it, name it in Meta.exclude, or declare it in Params.",
                    owner=str(table),
                )
        self.__table__ = table
        self._values = dict(values)

    def __getitem__(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError:
            if name in self.__table__.c:
                return None
            raise

    def __setitem__(self, name: str, value: Any) -> None:
        if name not in self.__table__.c:
            raise KeyError(name)
        self._values[name] = value

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise self._no_column(name) from None

    def __setattr__(self, name: str, value: Any) -> None:
        if name in TableRow.__slots__:
            super().__setattr__(name, value)
        elif name in self.__table__.c:
            self._values[name] = value
        else:
            raise self._no_column(name)

    def _no_column(self, name: str) -> AttributeError:
        return AttributeError(f"{self.__table__} has no column {name!r}", name=name, obj=self)

    def keys(self) -> list[str]:
        """Return the keys of the columns; with it, ``dict(row)`` and ``**row`` work."""
        return list(self.__table__.c.keys())

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.__table__.c)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TableRow):
            return NotImplemented
        return self.__table__ is other.__table__ and dict(self) == dict(other)

    __hash__ = None  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]

    def __deepcopy__(self, memo: dict[int, Any]) -> TableRow:
        return TableRow(self.__table__, deepcopy(self._values, memo))

    def __reduce__(self) -> tuple[Any, ...]:
        return TableRow, (self.__table__, self._values)

    def __repr__(self) -> str:
        values = "".join(f", {name}={value!r}" for name, value in self._values.items())
        return f"TableRow({self.__table__}{values})"
