"""Follows which new objects belong to collections that the session holds.

SQLAlchemy updates ``company.users`` where ``user.company`` is set, but not for ``user.company_id``.
And what an object has in an eager collection, only a SELECT would say: for one that is new, it is
known to be nothing until something refers to its key.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstanceState, ORMExecuteState, Session
from sqlalchemy.orm.attributes import get_history, instance_state, set_committed_value
from sqlalchemy.orm.base import PassiveFlag
from sqlalchemy.orm.collections import collection_adapter

from async_factory_boy.adapters._sqlalchemy.layouts import Owner, layout_of

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True


class Belonging:
    """What is known of the collections of the objects of a session."""

    def __init__(self) -> None:
        self._empty: WeakKeyDictionary[InstanceState[Any], set[str]] = WeakKeyDictionary()
        """For new objects, the eager collections that need no SELECT, since nothing is in them."""
        self._stale: dict[InstanceState[Any], set[str]] = {}
        """Loaded collections that lack an object which belongs to them by its foreign key."""
        self._listens = False

    def note_new(self, session: AsyncSession, states: Iterable[InstanceState[Any]]) -> None:
        """Note objects that are about to be added to the session."""
        for state in states:
            if state.key is None and state.session_id is None:
                empty = layout_of(state.mapper).empty_at_first
                if empty:
                    self._empty[state] = set(empty)
                    self._listen(session.sync_session)

    def _listen(self, session: Session) -> None:
        if not self._listens:
            event.listen(session, "after_flush", self._flushed)
            event.listen(session, "do_orm_execute", self._executed)
            self._listens = True

    def is_empty(self, state: InstanceState[Any], name: str) -> bool:
        """Return whether nothing was added to a collection since its object is new."""
        return name in self._empty.get(state, ())

    def note_stored(self, states: Iterable[InstanceState[Any]]) -> None:
        """Bring collections up to date that new objects belong to by their foreign keys only."""
        members: dict[tuple[int, str], set[int]] = {}
        for state in states:
            for owner in layout_of(state.mapper).owners:
                # Setting one side of a relationship has updated the other.
                if any(state.dict.get(side) is not None for side in owner.other_sides):
                    continue
                found = _owner_of(state, owner)
                if found is None or owner.name not in found.dict:
                    continue
                place = id(found), owner.name
                if place not in members:
                    members[place] = set(map(id, _members(found, owner.name)))
                if id(state.obj()) in members[place]:
                    continue
                members[place].add(id(state.obj()))
                if not (owner.is_plain and _is_extended(found, owner.name, state.obj())):
                    self._stale.setdefault(found, set()).add(owner.name)

    def take_stale(self) -> list[tuple[InstanceState[Any], set[str]]]:
        """Return the collections that are out of date, with their objects, and forget them."""
        if not self._stale:
            return []
        taken, self._stale = list(self._stale.items()), {}
        return taken

    def forget(self, states: Iterable[InstanceState[Any]]) -> None:
        """Forget what is no longer needed, since the objects are loaded."""
        if self._listens:
            for state in states:
                self._empty.pop(state, None)

    def _executed(self, state: ORMExecuteState) -> None:
        """Take no collection for empty any more: a statement of a hook may have filled any."""
        if not state.is_select:
            self._empty.clear()

    def _flushed(self, session: Session, _: object) -> None:
        """Note that collections of new objects are no longer empty, whoever filled them."""
        if not self._empty:
            return
        dirty = [instance_state(instance) for instance in session.dirty]
        for state in dirty:
            for name in self._empty.get(state, ()):
                if get_history(state.obj(), name, PassiveFlag.PASSIVE_NO_INITIALIZE).added:
                    self._empty[state] = self._empty[state] - {name}
        new = [instance_state(instance) for instance in session.new]
        self.note_stored(new)
        for state in [*new, *dirty]:
            for owner in layout_of(state.mapper).owners:
                found = _owner_of(state, owner)
                if found is not None and found in self._empty:
                    self._empty[found].discard(owner.name)


def _owner_of(state: InstanceState[Any], owner: Owner) -> InstanceState[Any] | None:
    """Return the object of the session that an object refers to by its foreign key."""
    key = tuple(map(state.dict.get, owner.foreign_key))
    session = state.session
    if None in key or session is None:
        return None
    found = session.identity_map.get(
        owner.mapper.identity_key_from_primary_key(key, identity_token=state.identity_token)
    )
    if found is None:
        return None
    its = instance_state(found)
    return its if its.mapper.isa(owner.mapper) else None


def _members(state: InstanceState[Any], name: str) -> Iterable[Any]:
    value: Any = state.dict[name]
    if not state.mapper.relationships[name].uselist:
        return [value]
    members: Iterable[Any] = iter(collection_adapter(value))
    return members


def _is_extended(state: InstanceState[Any], name: str, member: object) -> bool:
    """Add an object to a relationship, as if it had been loaded with it, if it has room for it."""
    value: Any = state.dict[name]
    if state.mapper.relationships[name].uselist:
        adapter: Any = collection_adapter(value)
        adapter.append_without_event(member)
        return True
    if value is None:
        set_committed_value(state.obj(), name, member)
    return value is None


# What is known of a session is kept with it, in `Session.info`. This is its name there.
_BELONGING = "async_factory_boy"


def belonging(session: AsyncSession) -> Belonging:
    """Return what is known of the objects of a session."""
    info = session.sync_session.info
    known: Belonging | None = info.get(_BELONGING)
    if known is None:
        known = info[_BELONGING] = Belonging()
    return known
