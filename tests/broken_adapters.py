"""Adapters that each break one promise, and the check that has to notice it."""

from __future__ import annotations

import asyncio
import copy
import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from contextvars import Context
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from aiosqlite import Connection

from async_factory_boy.adapters import Field
from async_factory_boy.options import CallOption
from tests.sound_adapter import Child, SoundAdapter

BROKEN: dict[type[SoundAdapter], Sequence[str]] = {}
"""Each broken adapter, with the names of the checks; the first is the one meant for it."""

Build = Callable[[], Awaitable[Sequence[Any]]]


def caught_by(*checks: str) -> Callable[[type[SoundAdapter]], type[SoundAdapter]]:
    def register(adapter: type[SoundAdapter]) -> type[SoundAdapter]:
        BROKEN[adapter] = checks
        return adapter

    return register


# save()


@caught_by("test_save_is_async")
class IsNotAsync(SoundAdapter):
    pass


# After the class is made, which may refuse it.
IsNotAsync.save = lambda self, instance: instance  # type: ignore[assignment,method-assign,return-value]


@caught_by("test_save_stores")
class AwaitsNothing(SoundAdapter):
    async def save(self, instance: Any) -> Any:
        self.insert([instance]).close()  # as it would be some time later, with a warning
        return instance


@caught_by("test_save_stores")
class ReturnsBeforeItHasStored(SoundAdapter):
    async def save(self, instance: Any) -> Any:
        self.task = asyncio.create_task(self.insert([instance]))
        return instance


@caught_by("test_save_stores_once")
class SavesTwice(SoundAdapter):
    async def save(self, instance: Any) -> Any:
        if isinstance(instance, Child):
            await self.insert([copy.copy(instance)])
        return await super().save(instance)


@caught_by("test_save_returns_the_instance")
class ReturnsACopy(SoundAdapter):
    async def save(self, instance: Any) -> Any:
        return copy.copy(await super().save(instance))


@caught_by("test_save_returns_the_instance")
class ReturnsNone(SoundAdapter):
    async def save(self, instance: Any) -> Any:
        await super().save(instance)


@caught_by("test_save_sets_the_key", "test_create", "test_sub_factory")
class LosesTheKey(SoundAdapter):
    async def save(self, instance: Any) -> Any:
        await super().save(instance)
        instance.id = None
        return instance


@caught_by("test_save_sets_the_key")
class CountsByItself(SoundAdapter):
    async def save(self, instance: Any) -> Any:
        await super().save(instance)
        instance.id += 1
        return instance


@caught_by("test_save_keeps_the_values")
class ChangesAField(SoundAdapter):
    async def save(self, instance: Any) -> Any:
        await super().save(instance)
        instance.size = str(instance.size)
        return instance


@caught_by("test_save_keeps_the_values")
class DropsAField(SoundAdapter):
    def values(self, instance: Any) -> dict[str, Any]:
        return {**super().values(instance), "size": None}


@caught_by("test_save_keeps_a_given_key")
class AsksForEveryKey(SoundAdapter):
    async def save(self, instance: Any) -> Any:
        instance.id = None
        return await super().save(instance)


@caught_by("test_save_stores_the_relation")
class ForgetsTheParent(SoundAdapter):
    def values(self, instance: Any) -> dict[str, Any]:
        values = super().values(instance)
        return {**values, "parent": None} if "parent" in values else values


@caught_by("test_save_raises_what_the_database_raises", "test_conflict")
class SwallowsErrors(SoundAdapter):
    async def save(self, instance: Any) -> Any:
        try:
            await super().save(instance)
        except sqlite3.IntegrityError:
            instance.id = 0
        return instance


@caught_by("test_save_raises_what_the_database_raises", "test_conflict")
class WrapsErrors(SoundAdapter):
    async def save(self, instance: Any) -> Any:
        try:
            return await super().save(instance)
        except sqlite3.IntegrityError as error:
            raise RuntimeError("could not save") from error


@caught_by("test_errors_name_the_factory")
class RaisesACopy(SoundAdapter):
    async def insert(self, instances: Sequence[Any], insert: str = "INSERT") -> None:
        try:
            await super().insert(instances, insert)
        except sqlite3.IntegrityError as error:
            raise type(error)(*error.args) from None


@caught_by("test_errors_name_the_factory")
class RaisesTheFirstErrorAgain(SoundAdapter):
    first: sqlite3.IntegrityError | None = None

    async def insert(self, instances: Sequence[Any], insert: str = "INSERT") -> None:
        try:
            await super().insert(instances, insert)
            return
        except sqlite3.IntegrityError as error:
            first = self.first = self.first or error
        raise first


@caught_by("test_saving_does_not_commit", "test_rollback")
class Commits(SoundAdapter):
    async def save(self, instance: Any) -> Any:
        await super().save(instance)
        await self.connection().commit()
        return instance


@caught_by("test_nothing_is_closed")
class ClosesTheConnection(SoundAdapter):
    async def save(self, instance: Any) -> Any:
        await super().save(instance)
        await self.connection().close()
        return instance


@caught_by("test_sub_factory_with_an_object")
class StoresTheParentAgain(SoundAdapter):
    async def save(self, instance: Any) -> Any:
        if isinstance(instance, Child):
            again = copy.copy(instance.parent)
            again.id, again.name = None, f"{again.name} again"
            await self.insert([again])
        return await super().save(instance)


# save_many()


@caught_by("test_save_many_stores_all", "test_related_factory_list", "test_batch")
class DropsOneOfABatch(SoundAdapter):
    async def save_many(self, instances: Sequence[Any]) -> Sequence[Any]:
        await self.insert(instances[:-1] or instances)
        return instances


@caught_by("test_save_many_stores_all")
class StoresTheFirstPage(SoundAdapter):
    async def save_many(self, instances: Sequence[Any]) -> Sequence[Any]:
        await self.insert(instances[:16])
        return instances


@caught_by("test_save_many_returns_the_instances", "test_batch")
class ReordersABatch(SoundAdapter):
    async def save_many(self, instances: Sequence[Any]) -> Sequence[Any]:
        return list(reversed(await super().save_many(instances)))


@caught_by("test_save_many_returns_the_instances")
class ReturnsCopiesOfABatch(SoundAdapter):
    async def save_many(self, instances: Sequence[Any]) -> Sequence[Any]:
        return [copy.copy(instance) for instance in await super().save_many(instances)]


@caught_by("test_save_many_returns_the_instances")
class ReturnsPartOfABatch(SoundAdapter):
    async def save_many(self, instances: Sequence[Any]) -> Sequence[Any]:
        return (await super().save_many(instances))[1:]


@caught_by("test_save_many_sets_the_keys")
class LosesTheKeysOfABatch(SoundAdapter):
    async def save_many(self, instances: Sequence[Any]) -> Sequence[Any]:
        for instance in await super().save_many(instances):
            instance.id = None
        return instances


@caught_by("test_save_many_sets_the_keys")
class MixesUpTheKeysOfABatch(SoundAdapter):
    async def save_many(self, instances: Sequence[Any]) -> Sequence[Any]:
        await self.insert(instances)
        keys = [instance.id for instance in instances]
        for instance, key in zip(instances, reversed(keys), strict=True):
            instance.id = key
        return instances


@caught_by("test_save_many_keeps_given_keys")
class HandsOutKeysOfABatchInOrder(SoundAdapter):
    async def save_many(self, instances: Sequence[Any]) -> Sequence[Any]:
        await super().save_many(instances)
        keys = sorted(instance.id for instance in instances)
        for instance, key in zip(instances, keys, strict=True):
            instance.id = key
        return instances


@caught_by("test_save_many_stores_in_order")
class StoresABatchBackwards(SoundAdapter):
    async def save_many(self, instances: Sequence[Any]) -> Sequence[Any]:
        await self.insert(list(reversed(instances)))
        return instances


@caught_by("test_save_many_stores_the_relations")
class GivesABatchOneParent(SoundAdapter):
    async def save_many(self, instances: Sequence[Any]) -> Sequence[Any]:
        if isinstance(instances[0], Child):
            same = [copy.copy(instance) for instance in instances]
            for instance in same:
                instance.parent = instances[0].parent
            await self.insert(same)
            for instance, stored in zip(instances, same, strict=True):
                instance.id = stored.id
            return instances
        return await super().save_many(instances)


@caught_by("test_save_many_raises_what_the_database_raises")
class IgnoresConflictsOfABatch(SoundAdapter):
    async def save_many(self, instances: Sequence[Any]) -> Sequence[Any]:
        await self.insert(instances, "INSERT OR IGNORE")
        return instances


@caught_by("test_batch_is_a_loop")
class DoesLessForABatch(SoundAdapter):
    async def save_many(self, instances: Sequence[Any]) -> Sequence[Any]:
        await self.insert(instances)
        for instance in instances:
            await self.connection().execute(
                "UPDATE Parent SET size = NULL WHERE name = ?", [instance.name]
            )
        return instances


# find(), find_many(), find_afresh()


@caught_by("test_find_returns_the_object", "test_get_or_create")
class FindsNothing(SoundAdapter):
    async def find(self, model: type[Any], lookup: Mapping[str, Any]) -> Any:
        return None


@caught_by("test_find_returns_the_object", "test_get_or_create_of_a_part")
class FindsWithoutAKey(SoundAdapter):
    async def find(self, model: type[Any], lookup: Mapping[str, Any]) -> Any:
        found = await super().find(model, lookup)
        if found is not None:
            found.id = None
        return found


@caught_by("test_find_returns_none")
class RaisesForAbsent(SoundAdapter):
    async def find(self, model: type[Any], lookup: Mapping[str, Any]) -> Any:
        found = await super().find(model, lookup)
        if found is None:
            raise LookupError(lookup)
        return found


@caught_by("test_find_returns_none")
class FindsTheNextBest(SoundAdapter):
    async def find(self, model: type[Any], lookup: Mapping[str, Any]) -> Any:
        return await super().find(model, lookup) or await self.select(model, "TRUE", {})


@caught_by("test_find_compares_every_field")
class FindsTooMuch(SoundAdapter):
    async def find(self, model: type[Any], lookup: Mapping[str, Any]) -> Any:
        return await self.select(model, " OR ".join(f"{name} IS ?" for name in lookup), lookup)


@caught_by("test_find_raises_for_several", "test_find_many_raises_for_several")
class FindsTheFirst(SoundAdapter):
    async def find(self, model: type[Any], lookup: Mapping[str, Any]) -> Any:
        return await self.select(model, " AND ".join(f"{name} IS ?" for name in lookup), lookup)


@caught_by("test_find_stores_nothing")
class StoresWhatItDoesNotFind(SoundAdapter):
    async def find(self, model: type[Any], lookup: Mapping[str, Any]) -> Any:
        found = await super().find(model, lookup)
        if found is None:
            await self.insert([model(lookup["name"], 0)])
        return found


@caught_by("test_find_many_answers_in_order", "test_get_or_create_in_a_batch")
class AnswersOnlyWhatIsThere(SoundAdapter):
    async def find_many(self, model: type[Any], lookups: Sequence[Mapping[str, Any]]) -> Any:
        return [found for found in await super().find_many(model, lookups) if found]


@caught_by("test_find_many_answers_in_order")
class AnswersInTheOrderOfKeys(SoundAdapter):
    async def find_many(self, model: type[Any], lookups: Sequence[Mapping[str, Any]]) -> Any:
        found = await super().find_many(model, lookups)
        return sorted(found, key=lambda one: one.id if one else 0)


@caught_by("test_find_many_compares_every_field")
class MixesLookups(SoundAdapter):
    async def find_many(self, model: type[Any], lookups: Sequence[Mapping[str, Any]]) -> Any:
        return [await self.select(model, "name IS ?", {"name": one["name"]}) for one in lookups]


@caught_by("test_find_many_raises_for_several")
class KeepsTheLastForEachLookup(SoundAdapter):
    async def find_many(self, model: type[Any], lookups: Sequence[Mapping[str, Any]]) -> Any:
        names = list(lookups[0])
        stored = await self.select_all(model, "TRUE", {})
        found = {tuple(getattr(one, name) for name in names): one for one in stored}
        return [found.get(tuple(lookup.values())) for lookup in lookups]


@caught_by("test_find_afresh_finds")
class FindsNoWinner(SoundAdapter):
    async def find_afresh(self, model: type[Any], lookup: Mapping[str, Any]) -> Any:
        return None


@caught_by("test_find_afresh_sees_who_was_faster")
class RemembersWhatIsAbsent(SoundAdapter):
    def __init__(self) -> None:
        self.absent: list[Mapping[str, Any]] = []

    async def find(self, model: type[Any], lookup: Mapping[str, Any]) -> Any:
        if lookup in self.absent:
            return None
        found = await super().find(model, lookup)
        if found is None:
            self.absent.append(lookup)
        return found


@caught_by("test_finding_is_async")
class FindsAsAPlainFunction(SoundAdapter):
    pass


FindsAsAPlainFunction.find = lambda self, model, lookup: None  # type: ignore[assignment,method-assign,return-value]


# save_new()


@caught_by("test_save_new_stores")
class BuildsTwice(SoundAdapter):
    async def save_new(self, build: Build) -> Sequence[Any]:
        await build()
        return await super().save_new(build)


@caught_by("test_save_new_raises_a_conflict")
class NamesNoConflicts(SoundAdapter):
    conflicts = ()


@caught_by("test_save_new_raises_a_conflict")
class SwallowsTheConflict(SoundAdapter):
    async def save_new(self, build: Build) -> Sequence[Any]:
        instances = await build()
        await self.insert(instances, "INSERT OR IGNORE")
        return instances


@caught_by("test_save_new_stores_all_or_none")
class StoresPartOfWhatIsNew(SoundAdapter):
    async def save_new(self, build: Build) -> Sequence[Any]:
        return [await self.save(instance) for instance in await build()]


@caught_by("test_save_new_keeps_what_was_there")
class RollsBackTheTransaction(SoundAdapter):
    async def save_new(self, build: Build) -> Sequence[Any]:
        try:
            return await self.save_many(await build())
        except sqlite3.IntegrityError:
            await self.connection().rollback()
            raise


@caught_by("test_save_new_does_not_commit")
class TakesASavepointForATransaction(SoundAdapter):
    @asynccontextmanager
    async def savepoint(self) -> AsyncGenerator[None]:
        await self.connection().execute("SAVEPOINT sound")
        yield
        await self.connection().execute("RELEASE sound")


@caught_by("test_rollback_of_get_or_create")
class CommitsWhatIsNewOfABatch(SoundAdapter):
    async def save_new(self, build: Build) -> Sequence[Any]:
        saved = await super().save_new(build)
        if saved[0].name == "two":
            await self.connection().commit()
        return saved


@caught_by("test_lost_race")
class LosesTheRace(SoundAdapter):
    async def find_afresh(self, model: type[Any], lookup: Mapping[str, Any]) -> Any:
        return await super().find(model, {"size": 1})


@caught_by("test_conflict_over_another_value")
class FindsAnyWinner(SoundAdapter):
    async def find_afresh(self, model: type[Any], lookup: Mapping[str, Any]) -> Any:
        return await self.select(model, "TRUE", {})


# build(), check(), ambient_options(), refresh(), commit(), and options


@caught_by("test_build_constructs")
class BuildsAsynchronously(SoundAdapter):
    pass


async def _build(self: SoundAdapter, model: Any, args: Any, kwargs: Any) -> Any:
    return model(*args, **kwargs)


BuildsAsynchronously.build = _build  # type: ignore[method-assign]


@caught_by("test_build_makes_a_new_object")
class BuildsOneObject(SoundAdapter):
    built: Any = None

    def build(self, model: type[Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        self.built = self.built or super().build(model, args, kwargs)
        vars(self.built).update(kwargs)
        return self.built


@caught_by("test_build")
class StoresWhatItBuilds(SoundAdapter):
    def build(self, model: type[Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        built = super().build(model, args, kwargs)
        self.task = asyncio.create_task(self.insert([built]))
        return built


@caught_by("test_handles")
class HandlesEverything(SoundAdapter):
    @classmethod
    def handles(cls, model: type) -> bool:
        return True


@caught_by("test_check_passes")
class ChecksTooMuch(SoundAdapter):
    def check(self, model: type[Any]) -> None:
        raise NotImplementedError


@caught_by("test_check_notices_missing_options")
class StumblesOverMissingOptions(SoundAdapter):
    def check(self, model: type[Any]) -> None:
        assert self.sound_connection.is_alive()  # type: ignore[union-attr]


@caught_by("test_options_are_checked")
class StumblesOverWrongOptions(SoundAdapter):
    stumbling_connection: CallOption[Connection] = CallOption(lambda value: value.execute)
    option = "stumbling_connection"


@caught_by("test_ambient_options")
class HasUnknownOptions(SoundAdapter):
    def ambient_options(self, model: type[Any]) -> Mapping[str, Any]:
        return {"nobody_knows_this": self.connection()}


@caught_by("test_refresh_changes_nothing")
class StoresOnceMoreAtTheEnd(SoundAdapter):
    async def refresh(self, instances: Sequence[Any]) -> None:
        await self.connection().execute("UPDATE Parent SET size = 0")


@caught_by("test_refresh_accepts_what_was_found")
class FinishesOnlyWhatItSaved(SoundAdapter):
    def __init__(self) -> None:
        self.saved: list[Any] = []

    async def save(self, instance: Any) -> Any:
        self.saved.append(instance)
        return await super().save(instance)

    async def refresh(self, instances: Sequence[Any]) -> None:
        for instance in instances:
            assert any(saved is instance for saved in self.saved)


@caught_by("test_refresh_takes_several_models")
class RefreshesOneModel(SoundAdapter):
    async def refresh(self, instances: Sequence[Any]) -> None:
        keys = [instance.id for instance in instances]
        found = await self.select_all(
            type(instances[0]), f"id IN ({', '.join('?' * len(keys))})", dict(enumerate(keys))
        )
        by_key = {one.id: one for one in found}
        for instance in instances:
            instance.name = by_key[instance.id].name


@caught_by("test_refresh_is_called_once")
class RefreshesEachByItself(SoundAdapter):
    async def save(self, instance: Any) -> Any:
        await super().save(instance)
        await self.refresh([instance])
        return instance

    async def save_many(self, instances: Sequence[Any]) -> Sequence[Any]:
        return [await self.save(instance) for instance in instances]


@caught_by("test_flush")
class FlushesNothing(SoundAdapter):
    async def flush(self) -> None:
        pass


@caught_by("test_flush")
class FlushesOnlyWhatItStored(SoundAdapter):
    async def find(self, model: type[Any], lookup: Mapping[str, Any]) -> Any:
        return copy.copy(await super().find(model, lookup))  # the original is what it knows


@caught_by("test_flush_comes_before_commit")
class FlushesWhereItDoesNotCommit(SoundAdapter):
    async def flush(self) -> None:
        if not self.commits:
            await super().flush()


@caught_by("test_commit_does_not_commit_unasked")
class CommitsBatches(SoundAdapter):
    async def commit(self) -> None:
        await self.connection().commit()


@caught_by("test_commits_when_told_to")
class ForgetsToCommitABatch(SoundAdapter):
    async def commit(self) -> None:
        pass

    async def commit_now(self) -> None:
        if self.commits and not self.commits_later:
            await self.connection().commit()


@caught_by("test_commits_all_or_nothing")
class CommitsTooEarly(SoundAdapter):
    async def commit_now(self) -> None:
        await self.commit()


# Options, tasks and event loops


@caught_by("test_option_of_the_call_wins")
class IgnoresTheCall(SoundAdapter):
    def connection(self) -> Connection:
        return self.of_the_test


@caught_by("test_options_of_a_call")
class LosesTheContext(SoundAdapter):
    async def save_many(self, instances: Sequence[Any]) -> Sequence[Any]:
        return await Context().run(asyncio.create_task, super().save_many(instances))


class Remembers(SoundAdapter):
    remembered: ClassVar[Connection | None] = None

    def connection(self) -> Connection:
        return self.remembered or super().connection()


@caught_by("test_two_tasks")
class KeepsTheOptionOnTheClass(Remembers):
    def check(self, model: type[Any]) -> None:
        type(self).remembered = self.sound_connection


@caught_by("test_factories_share_a_statement")
class BeginsAUnitForEachObject(SoundAdapter):
    sound_unit: CallOption[object] = CallOption()

    def ambient_options(self, model: type[Any]) -> Mapping[str, Any]:
        return {"sound_unit": object()}


@caught_by("test_gather_get_or_create")
class TakesNoTurns(SoundAdapter):
    def connection_key(self, model: type[Any]) -> Hashable:
        return None


class LocksTheConnection(SoundAdapter):
    def __init__(self) -> None:
        self.locks: WeakKeyDictionary[Connection, asyncio.Lock] = WeakKeyDictionary()

    def lock(self) -> asyncio.Lock:
        return self.locks.setdefault(self.connection(), asyncio.Lock())


@caught_by("test_creating_while_saving")
class LocksTheConnectionForABatch(LocksTheConnection):
    async def save_many(self, instances: Sequence[Any]) -> Sequence[Any]:
        async with self.lock():
            return [await self.save(instance) for instance in instances]


@caught_by("test_creating_while_constructing")
class LocksTheConnectionToConstruct(LocksTheConnection):
    async def save(self, instance: Any) -> Any:
        async with self.lock():
            return await super().save(instance)

    async def save_new(self, build: Build) -> Sequence[Any]:
        async with self.lock():
            return await super().save_new(build)


@caught_by("test_creating_while_saving")
class KeepsABatchOnTheClass(SoundAdapter):
    left: ClassVar[list[Any]]

    async def save_many(self, instances: Sequence[Any]) -> Sequence[Any]:
        KeepsABatchOnTheClass.left = list(instances)
        while self.left:
            await self.save(self.left.pop(0))
        return instances


@caught_by("test_creating_while_saving_in_tasks", "test_gather")
class RefusesASecondTask(SoundAdapter):
    busy = False

    def connection_key(self, model: type[Any]) -> Hashable:
        return None

    async def insert(self, instances: Sequence[Any], insert: str = "INSERT") -> None:
        if self.busy:
            raise RuntimeError("busy")
        self.busy = True
        await super().insert(instances, insert)
        self.busy = False


@caught_by("test_cancellation", "test_hooks", "test_gather")
class HoldsALockFromTheCheckOn(SoundAdapter):
    busy = False

    def check(self, model: type[Any]) -> None:
        if self.busy:
            raise RuntimeError("busy")
        self.busy = True

    async def refresh(self, instances: Sequence[Any]) -> None:
        self.busy = False


@caught_by("test_error_in_a_hook")
class ReleasesAtTheEndOnly(HoldsALockFromTheCheckOn):
    pass


@caught_by("test_two_event_loops")
class HasOneLockForAllLoops(SoundAdapter):
    lock = asyncio.Lock()

    def connection_key(self, model: type[Any]) -> Hashable:
        return None

    async def save(self, instance: Any) -> Any:
        async with self.lock:
            await asyncio.sleep(0)
            return await super().save(instance)


@caught_by("test_two_event_loops")
class KeepsTheFirstConnection(Remembers):
    def check(self, model: type[Any]) -> None:
        type(self).remembered = self.remembered or self.sound_connection


# undo() and connection_key()


@caught_by("test_undo")
class UndoesNothing(SoundAdapter):
    @asynccontextmanager
    async def undo(self, model: type[Any]) -> AsyncGenerator[Mapping[str, Any]]:
        yield {}


@caught_by("test_undo")
class YieldsNoOptions(SoundAdapter):
    @asynccontextmanager
    async def undo(self, model: type[Any]) -> AsyncGenerator[Any]:
        async with super().undo(model):
            yield None


@caught_by("test_undo_keeps_what_was_before")
class UndoesEverything(SoundAdapter):
    @asynccontextmanager
    async def undo(self, model: type[Any]) -> AsyncGenerator[Mapping[str, Any]]:
        try:
            yield {}
        finally:
            await self.connection().rollback()


@caught_by("test_undo_commits_nothing")
class CommitsWhatWasBefore(SoundAdapter):
    @asynccontextmanager
    async def undo(self, model: type[Any]) -> AsyncGenerator[Mapping[str, Any]]:
        await self.connection().commit()
        try:
            yield {}
        finally:
            await self.connection().rollback()


@caught_by("test_undo_after_an_error", "test_undo_after_a_conflict")
class UndoesOnlyWhatWentWell(SoundAdapter):
    @asynccontextmanager
    async def undo(self, model: type[Any]) -> AsyncGenerator[Mapping[str, Any]]:
        connection = await self.begin_savepoint()
        yield {}
        await connection.execute("ROLLBACK TO sound")
        await connection.execute("RELEASE sound")


@caught_by("test_undo_after_an_error", "test_undo_after_a_conflict")
class SwallowsWhatWentWrong(SoundAdapter):
    @asynccontextmanager
    async def undo(self, model: type[Any]) -> AsyncGenerator[Mapping[str, Any]]:
        async with super().undo(model):
            with suppress(LookupError, sqlite3.IntegrityError):
                yield {}


@caught_by("test_connection_key")
class TakesAllConnectionsForOne(SoundAdapter):
    def connection_key(self, model: type[Any]) -> Hashable:
        return "sqlite"


@caught_by("test_connection_key")
class TakesEachCallForAConnection(SoundAdapter):
    def connection_key(self, model: type[Any]) -> Hashable:
        return object()


# primary_key()


@caught_by("test_primary_key")
class TellsTheKeyOfAnother(SoundAdapter):
    def primary_key(self, instance: Any) -> Mapping[str, Any]:
        return {"id": 1}


@caught_by("test_primary_key")
class TellsNoNameOfTheKey(SoundAdapter):
    def primary_key(self, instance: Any) -> Any:
        return instance.id


# fields()


@caught_by("test_fields")
class TellsNames(SoundAdapter):
    def fields(self, model: type[Any]) -> Any:
        return [field.name for field in super().fields(model)]


@caught_by("test_fields")
class TellsANameTwice(SoundAdapter):
    def fields(self, model: type[Any]) -> Sequence[Field]:
        return [*super().fields(model), *super().fields(model)]


@caught_by("test_automatic_declarations")
class TellsWhatTheConstructorRefuses(SoundAdapter):
    def fields(self, model: type[Any]) -> Sequence[Field]:
        return [*super().fields(model), Field(name="weight", type=int, required=True)]


@caught_by("test_automatic_declarations")
class TellsNothingOfUniqueness(SoundAdapter):
    def fields(self, model: type[Any]) -> Sequence[Field]:
        name = Field(name="name", type=str, required=True, choices=("the same",))
        return [name, *super().fields(model)[1:]]


# listen()


@caught_by("test_listening")
class HearsOnlyItself(SoundAdapter):
    heard: Any = None

    def listen(self, heard: Any) -> Any:
        self.heard = heard
        return lambda: setattr(self, "heard", None)

    async def save(self, instance: Any) -> Any:
        if self.heard is not None:
            self.heard(lambda _: False)
        return await super().save(instance)


@caught_by("test_listening")
class NeverStopsListening(SoundAdapter):
    def listen(self, heard: Any) -> Any:
        super().listen(heard)
        return lambda: None
