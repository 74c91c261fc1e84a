"""What is stored through a client session: collections, and documents of Beanie."""

from __future__ import annotations

import asyncio
import inspect
import re
from abc import abstractmethod
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Hashable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar, cast

import bson
from bson import CodecOptions, Regex
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.client_session import ClientSession
from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure

from async_factory_boy.adapters.base import PersistenceAdapter
from async_factory_boy.adapters.matching import ASK, matched, only_one
from async_factory_boy.adapters.paging import paged
from async_factory_boy.exceptions import AdapterError, OptionError

if TYPE_CHECKING:
    pass

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

M = TypeVar("M")


# https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml
_NO_SUCH_TRANSACTION = 251

_DUPLICATE_KEY = 11000

# Lookups per query.
_PAGE = 1000

# Bytes of values per query. MongoDB takes one of 16 MB, as much as a document may have, so a value
# that takes more than this has a query of its own.
# https://www.mongodb.com/docs/manual/reference/limits/#mongodb-limit-BSON-Document-Size
_BYTES = 8 * 2**20

# By whether the driver is Motor; None: either.
_DRIVERS = {
    False: "PyMongo's AsyncMongoClient",
    True: "Motor",
    None: "PyMongo's AsyncMongoClient or of Motor",
}

_HOW_TO_START = {
    False: "async with client.start_session() as session, await session.start_transaction(): ...",
    True: "async with await client.start_session() as session, session.start_transaction(): ...",
}


class AsyncCollection(Protocol):
    """What is asked of a collection, PyMongo's or Motor's, as far as both have it annotated."""

    def insert_one(self, document: Any, *, session: Any = ...) -> Awaitable[Any]: ...
    def insert_many(self, documents: Any, *, session: Any = ...) -> Awaitable[Any]: ...
    def delete_many(self, filter: Any, *, session: Any = ...) -> Awaitable[Any]: ...
    def find_one(self, filter: Any, *, session: Any = ...) -> Awaitable[Any]: ...
    def find(self, filter: Any, *, session: Any = ...) -> Any: ...


class AsyncSession(Protocol):
    """What is asked of a client session, PyMongo's or Motor's, as far as both have it annotated."""

    @property
    def client(self) -> Any: ...
    def abort_transaction(self) -> Awaitable[None]: ...


def client_of(collection: AsyncCollection) -> Any:
    """Return the client that `collection` belongs to."""
    return cast("Any", collection).database.client


def is_motor(value: object) -> bool:
    """Tell whether `value` is an object of Motor's, which may not be installed."""
    return type(value).__module__.partition(".")[0] == "motor"


def check_session(option: str, value: object, *, motor: bool | None = None) -> None:
    """Raise if `value` is not a client session of an async driver.

    Args:
        option: The call-time option that it was given for.
        value: What was given.
        motor: Whether the driver has to be Motor, or (``False``) PyMongo; ``None``: either.

    Raises:
        OptionError: When it is something else.
    """
    is_session = isinstance(value, AsyncClientSession) or (
        is_motor(value) and type(value).__name__ == "AsyncIOMotorClientSession"
    )
    if is_session and motor in (None, is_motor(value)):
        return
    if is_session:
        problem = f"one of {'Motor' if is_motor(value) else 'PyMongo'}"
    elif isinstance(value, ClientSession):
        problem = "one of the synchronous MongoClient"
    elif inspect.isawaitable(value):
        problem = "one that has yet to be awaited"
    else:
        problem = f"an object of type {type(value).__name__}"
    likely_motor = (inspect.isawaitable(value) or is_motor(value)) if motor is None else motor
    raise OptionError(
        f"{option} takes a client session of {_DRIVERS[motor]}; got {problem}. "
        f"Start one around the calls: {_HOW_TO_START[likely_motor]}"
    )


class ClientSessionAdapter(PersistenceAdapter[M]):
    """What the adapters that store through a MongoDB driver share.

    A transaction belongs to a client session, which one operation at a time may use. MongoDB has
    no savepoints: when an insert is refused, the server aborts the whole transaction.
    https://www.mongodb.com/docs/manual/core/transactions/
    """

    conflicts: ClassVar[tuple[type[Exception], ...]] = (DuplicateKeyError,)

    session_option: ClassVar[str]
    """The name of the call-time option that takes a session."""

    @property
    def session(self) -> AsyncSession | None:
        """The client session to use now, if any."""
        session: AsyncSession | None = getattr(self, self.session_option)
        return session

    @abstractmethod
    def collection_of(self, model: type[M]) -> AsyncCollection:
        """Return the collection that objects of `model` are stored in now."""

    def check_usable(self, collection: AsyncCollection, subject: str) -> None:
        """Raise if an object could not be stored in `collection` by this task, or in the session.

        Args:
            collection: Where it would be stored.
            subject: What the collection belongs to or comes from, for the error.

        Raises:
            OptionError: When collection or session cannot be used, or not together.
        """
        client = client_of(collection)
        # The only way to tell without an operation; tests/test_mongo.py notices if it changes.
        loop = client.get_io_loop() if is_motor(client) else getattr(client, "_loop", None)
        if isinstance(loop, asyncio.AbstractEventLoop) and loop is not asyncio.get_running_loop():
            raise OptionError(
                f"The client of {subject} was first used in another event loop, and cannot be "
                "used in this one. Make the client in a fixture that runs in the loop of the test "
                "(with pytest-asyncio: give fixture and test the same loop_scope)."
            )
        session: Any = self.session
        if session is None:
            return
        check_session(self.session_option, session, motor=is_motor(client))
        if session.has_ended:
            raise OptionError(
                f"{self.session_option} is a client session that has ended; use the factory inside "
                f"of {_HOW_TO_START[is_motor(session)]}"
            )
        if session.client is not client:
            raise OptionError(
                f"{self.session_option} is a session of another client than the one that {subject} "
                "belongs to; start it from that client: collection.database.client.start_session()."
            )

    async def save_many(self, data: Sequence[M]) -> list[M]:
        return list(await self.store(data, [])) if data else []

    async def find_afresh(self, model: type[M], lookup: Mapping[str, Any]) -> M | None:
        try:
            return await self.find(model, lookup)
        except OperationFailure as error:
            if error.code == _NO_SUCH_TRANSACTION:
                return None  # aborted by the refusal, which is what the caller wants to see
            raise

    async def save_new(self, build: Callable[[], Awaitable[Sequence[M]]]) -> Sequence[M]:
        instances = await build()
        if len(instances) == 1:
            return [await self.save(instances[0])]
        stored: list[Any] = []
        try:
            return await self.store(instances, stored)
        except (BulkWriteError, DuplicateKeyError) as error:
            conflict = _conflict(error)
            session = cast("Any", self.session)
            # A transaction is aborted, and with it all that was done in it, by whomever.
            if conflict is None or (session is not None and session.in_transaction):
                raise
            if stored:
                collection = self.collection_of(type(instances[0]))
                for page in paged_ids(collection, stored):
                    await collection.delete_many({"_id": {"$in": page}}, session=session)
            if conflict is error:
                raise
            raise conflict from error

    def connection_key(self, model: type[M]) -> Hashable:
        session: Any = self.session
        # Motor's own are not hashable; each wraps one that is.
        key: Hashable = getattr(session, "delegate", session)
        return key

    @asynccontextmanager
    async def undo(self, model: type[M]) -> AsyncGenerator[Mapping[str, Any]]:
        client = client_of(self.collection_of(model))
        hello = await client.admin.command("hello")
        if "setName" not in hello and hello.get("msg") != "isdbgrid":
            raise AdapterError(
                "This MongoDB server has no transactions, which take a replica set, so lint() "
                "cannot undo what it stores. Start the server with --replSet; or write "
                'lint(..., strategy="build"), which stores nothing; or lint(..., rollback=False) '
                "on a database that is thrown away afterwards."
            )
        async with AsyncExitStack() as stack:
            session: Any = self.session
            if session is None:
                started = client.start_session()
                if inspect.isawaitable(started):  # Motor
                    started = await started
                session = await stack.enter_async_context(started)
            elif session.in_transaction:
                raise OptionError(
                    f"{self.session_option} is in a transaction, of which MongoDB cannot undo a "
                    "part, as lint() does after each object; give lint() a session that is in "
                    "none, or no session."
                )
            begun = session.start_transaction()
            if inspect.isawaitable(begun):  # PyMongo
                await begun
            try:
                yield {self.session_option: session}
            finally:
                if session.in_transaction:
                    await session.abort_transaction()

    @abstractmethod
    async def store(self, instances: Sequence[M], stored: list[Any]) -> Sequence[M]:
        """Store several instances, and return them.

        In order, and none after the first that is refused.

        Args:
            instances: What to store.
            stored: Is added the ``_id`` of each that is stored, also if a later one is refused.
        """

    async def insert_many(
        self, collection: AsyncCollection, documents: Sequence[Mapping[str, Any]], stored: list[Any]
    ) -> None:
        """Insert several documents, and add the ``_id`` of each that is stored to `stored`."""
        try:
            await collection.insert_many(documents, session=self.session)
        except BulkWriteError as error:
            inserted = documents[: error.details["nInserted"]]
            stored += [document["_id"] for document in inserted]
            raise
        stored += [document["_id"] for document in documents]

    async def find_documents(
        self,
        collection: AsyncCollection,
        wanted: Sequence[Mapping[str, Any]],
        *,
        query: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda condition: condition,
        encode: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda values: values,
    ) -> list[Any]:
        """Return the document that has the values of each of `wanted`, by few queries.

        Args:
            collection: Where to look.
            wanted: Names of fields with their values; the same names in each.
            query: Makes a query of the condition that a document has the values of any of them.
            encode: Makes what is stored of some values.

        Returns:
            What `matched` returns. What is the same BSON is equal to the server. More is: 1 and
            1.0, by a collation "acme" and "ACME", a value and an array that contains it.
        """
        if any("." in name or name.startswith("$") for name in wanted[0]):
            return [ASK] * len(wanted)  # inside of a field: values are not to be had by that name
        options = cast("Any", collection).codec_options
        names = list(wanted[0])
        # As the server compares them, which knows no more of values than their BSON.
        encoded = [_encoded(names, encode(values), options) for values in wanted]
        answers: list[Any] = []
        pairs = list(zip(wanted, encoded, strict=True))
        for page in paged(pairs, _PAGE, size_of=_size_of, largest=_BYTES):
            condition = _any_of([values for values, _ in page])
            cursor = collection.find(query(condition), session=self.session)
            documents = await cursor.to_list(None)
            found = [(_encoded(names, document, options), document) for document in documents]
            answers += matched([key for _, key in page], found)
        return answers

    async def find_document(
        self,
        collection: AsyncCollection,
        query: Mapping[str, Any],
        model: object,
        lookup: Mapping[str, Any],
    ) -> Mapping[str, Any] | None:
        """Return the one document that a query finds for a lookup."""
        cursor = collection.find(query, session=self.session).limit(2)
        return only_one(await cursor.to_list(None), model, lookup)


def _conflict(error: BulkWriteError | DuplicateKeyError) -> DuplicateKeyError | None:
    """Return what insert_one() would have raised for a duplicate; None if it was not for one."""
    if isinstance(error, DuplicateKeyError):
        return error
    details: Mapping[str, Any] = error.details
    for refusal in details["writeErrors"]:
        if refusal["code"] == _DUPLICATE_KEY:
            return DuplicateKeyError(refusal["errmsg"], refusal["code"], refusal)
    return None


def equal_to(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the condition that fields have `values`."""
    # $eq: else a value that is a pattern, or a document with operators, would be taken for one.
    return {name: {"$eq": value} for name, value in values.items()}


def _any_of(wanted: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    if len(wanted[0]) == 1:
        (name,) = wanted[0]
        values = [one[name] for one in wanted]
        if not any(isinstance(value, re.Pattern | Regex) for value in values):  # $in matches by it
            return {name: {"$in": values}}
    return {"$or": [equal_to(one) for one in wanted]}


def _encoded(names: Sequence[str], values: Mapping[str, Any], options: CodecOptions[Any]) -> bytes:
    return bson.encode({name: values.get(name) for name in names}, codec_options=options)


def _size_of(one: tuple[Any, bytes]) -> int:
    return len(one[1])


def paged_ids(collection: AsyncCollection, ids: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Yield as many ids at a time as a query can name; nearly always all of them."""
    options = cast("Any", collection).codec_options
    pairs = [(one, _encoded(["_id"], {"_id": one}, options)) for one in ids]
    for page in paged(pairs, len(ids), size_of=_size_of, largest=_BYTES):
        yield [one for one, _ in page]
