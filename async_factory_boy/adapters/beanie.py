"""Stores Beanie documents: Beanie 2 on PyMongo's ``AsyncMongoClient``, Beanie 1.30 on Motor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, TypeVar, cast
from uuid import UUID, uuid4

from async_factory_boy.adapters.configuration import check_names, fields_option
from async_factory_boy.adapters.fields import Field
from async_factory_boy.adapters.matching import ASK, answered, only_one
from async_factory_boy.exceptions import (
    AdapterError,
    ConfigurationError,
    MissingOptionError,
)
from async_factory_boy.options import CallOption
from async_factory_boy.stores import missing

try:
    import beanie
    from beanie import Document, Link, WriteRules
    from beanie.exceptions import CollectionWasNotInitialized
    from beanie.odm.actions import ActionDirections, ActionRegistry, EventTypes
    from beanie.odm.fields import LinkInfo
    from beanie.odm.utils.dump import get_dict
    from beanie.odm.utils.encoder import Encoder
    from beanie.odm.utils.parsing import parse_obj
    from beanie.odm.utils.self_validation import validate_self_before
    from beanie.odm.utils.typing import extract_id_class
    from bson import DBRef
    from pydantic import TypeAdapter
    from pymongo.asynchronous.collection import AsyncCollection as PyMongoCollection
except ModuleNotFoundError as error:  # pragma: no cover (tested where it is not installed)
    raise ImportError(missing("Beanie", "beanie")) from error

from async_factory_boy.adapters._beanie.fields import document_fields, documents_within
from async_factory_boy.adapters._mongo.sessions import (
    AsyncCollection,
    AsyncSession,
    ClientSessionAdapter,
    check_session,
    equal_to,
    is_motor,
    paged_ids,
)

__all__ = ["BeanieAdapter"]

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

M = TypeVar("M")

# Beanie 2 replaced Motor by PyMongo's async API, and renamed what returns a collection.
_ON_MOTOR = not hasattr(Document, "get_pymongo_collection")

# Since Beanie 2.1, insert() validates before it runs the actions, and no longer after.
_VALIDATES_FIRST = (
    cast("Any", Document.insert).__code__
    is cast("Any", validate_self_before)(Document.insert).__code__
)


class BeanieAdapter(ClientSessionAdapter[M]):
    """Stores Beanie documents, each as under ``await document.insert()``.

    ```python
    class UserFactory(AsyncFactory[User]):
        class Meta:
            model = User
            adapter = BeanieAdapter(get_or_create=("email",))
    ```

    Event actions, ``validate_on_save``, state management and revision ids work as they do there,
    also in a batch, which is one command. Given a client session (``beanie_session``) that is in a
    transaction, the adapter stores and looks up in it, and leaves it to the caller to commit or
    abort. Tasks may share a session: the adapter waits its turn.

    Args:
        get_or_create: Fields that identify a document. One that has their values is looked up
            before a new one is stored. Give the document a unique index over them, and losing a
            race finds the winner's document; except in a transaction, which MongoDB aborts then.
        fetch_links: Links to fetch on the documents that a call returns: ``True`` for all, or
            their names.
        link_rule: What to do about linked documents: ``WriteRules.DO_NOTHING``, or
            ``WriteRules.WRITE`` to save those that are not stored yet.

    Raises:
        ConfigurationError: When an argument is not of the kind described.
    """

    beanie_session: CallOption[AsyncSession] = CallOption(
        lambda value: check_session("beanie_session", value, motor=_ON_MOTOR)
    )
    session_option: ClassVar[str] = "beanie_session"

    def __init__(
        self,
        *,
        get_or_create: Sequence[str] = (),
        fetch_links: bool | Sequence[str] = (),
        link_rule: WriteRules = WriteRules.DO_NOTHING,
    ) -> None:
        owner = type(self).__name__
        self.get_or_create = fields_option("get_or_create", get_or_create, owner=owner)
        self.fetch_links = (
            fetch_links
            if isinstance(fetch_links, bool)
            else fields_option("fetch_links", fetch_links, owner=owner, example="company")
        )
        try:
            self.link_rule = WriteRules(link_rule)
        except ValueError:
            raise ConfigurationError(
                "link_rule",
                "has to be beanie.WriteRules.WRITE or beanie.WriteRules.DO_NOTHING; "
                f"got {link_rule!r}.",
                owner=owner,
            ) from None

    @classmethod
    def handles(cls, model: type) -> bool:
        return isinstance(model, type) and issubclass(model, Document)

    def collection_of(self, model: type[M]) -> AsyncCollection:
        return _collection(cast("type[Document]", model))

    def check(self, model: type[M]) -> None:
        document = _document(model)
        self.check_usable(_collection(document), f"the document {document.__name__}")
        for part in documents_within(document):
            _collection(part)
        aliases = _names(document)
        by_name = [aliases.get(name, name) for name in self.get_or_create]
        about: Any = {"owner": type(self).__name__, "model": document}
        check_names("get_or_create", by_name, document.model_fields, **about)
        if isinstance(self.fetch_links, tuple):
            check_names("fetch_links", self.fetch_links, _links(document), what="link", **about)

    def fields(self, model: type[M]) -> Sequence[Field]:
        return document_fields(_document(model))

    def primary_key(self, data: M, /) -> Mapping[str, Any]:
        return {"id": cast("Document", data).id}

    def build(self, model: type[M], args: Sequence[Any], kwargs: Mapping[str, Any]) -> M:
        try:
            return super().build(model, args, kwargs)
        except CollectionWasNotInitialized:
            _collection(cast("type[Document]", model))  # raises our own, if it is this document
            raise

    async def save(self, data: M) -> M:
        document = cast("Document", data)
        revision = document.revision_id if document.get_settings().use_revision else None
        if revision is not None and self._go_together([document]):
            await self._insert_together([document], [])  # which keeps it
            return data
        saved = await document.insert(session=cast("Any", self.session), link_rule=self.link_rule)
        if revision is not None:
            await self._restore_revision(saved, revision)
        return cast("M", saved)

    async def find(self, model: type[M], lookup: Mapping[str, Any]) -> M | None:
        document = cast("type[Document]", model)
        # Not from Beanie's cache: what that holds may be gone.
        found = document.find(
            equal_to(_stored(document, lookup)),
            session=cast("Any", self.session),
            ignore_cache=True,
        )
        return cast("M | None", only_one(await found.limit(2).to_list(), model, lookup))

    async def find_many(
        self, model: type[M], lookups: Sequence[Mapping[str, Any]]
    ) -> Sequence[M | None]:
        document = cast("type[Document]", model)
        encoders = cast("Any", document).get_bson_encoders()
        found = await self.find_documents(
            _collection(document),
            [_stored(document, lookup) for lookup in lookups],
            # With the conditions that Beanie adds for documents that share a collection.
            query=lambda condition: document.find(condition).get_filter_query(),
            encode=Encoder(custom_encoders=encoders).encode,
        )
        answers = [row if row in (None, ASK) else parse_obj(document, row) for row in found]
        return await answered(lookups, answers, partial(self.find, model))

    async def refresh(self, instances: Sequence[M]) -> None:
        if not self.fetch_links:
            return
        of_class: dict[type[Document], list[Document]] = {}
        for instance in cast("Sequence[Document]", instances):
            of_class.setdefault(type(instance), []).append(instance)
        for document, some in of_class.items():
            await self._fetch_links(document, some)

    async def _restore_revision(self, document: Document, revision: UUID) -> None:
        """Store the revision id that a document was given, which ``insert()`` has replaced."""
        document.revision_id = revision
        await cast("Any", _collection(type(document))).update_one(
            {"_id": Encoder(to_db=True).encode(document.id)},
            {"$set": {"revision_id": Encoder(to_db=True).encode(revision)}},
            session=self.session,
        )
        if document.get_settings().use_state_management:
            document._save_state()

    async def store(self, instances: Sequence[M], stored: list[Any]) -> Sequence[M]:
        documents = cast("Sequence[Document]", instances)
        if self._go_together(documents):
            await self._insert_together(documents, stored)
            return instances
        saved: list[M] = []
        for instance in instances:
            saved.append(await self.save(instance))
            stored.append(Encoder(to_db=True).encode(cast("Document", saved[-1]).id))
        return saved

    def _go_together(self, documents: Sequence[Document]) -> bool:
        kind = type(documents[0])
        return (
            all(type(document) is kind for document in documents)
            and kind.insert is Document.insert
            # Each saves what it links to, which takes a command for each anyway.
            and not (self.link_rule is WriteRules.WRITE and _links(kind))
        )

    async def _insert_together(self, documents: Sequence[Document], stored: list[Any]) -> None:
        """Do for each document what ``Document.insert()`` does, by one command.

        ``Document.insert_many()`` skips the actions, validation, state, revision ids, and setting
        the ids.
        """
        kind = type(documents[0])
        settings = kind.get_settings()
        # What would do nothing is left out: all together it takes longer than the rest.
        validates = _validates(kind)
        acts_before = bool(_actions(kind, ActionDirections.BEFORE))
        rows = []
        for document in documents:
            if validates and _VALIDATES_FIRST:
                await document.validate_self()
            if acts_before:
                await _run_actions(document, ActionDirections.BEFORE)
            if validates and not _VALIDATES_FIRST:
                await document.validate_self()
            if settings.use_revision and document.revision_id is None:
                document.revision_id = uuid4()
            rows.append(get_dict(document, to_db=True, keep_nulls=settings.keep_nulls))
        as_id = _id_parser(kind)
        try:
            if len(rows) == 1:  # for the error that insert() raises
                await _collection(kind).insert_one(rows[0], session=self.session)
                stored.append(rows[0]["_id"])
            else:
                await self.insert_many(_collection(kind), rows, stored)
        finally:
            for document, key in zip(documents, stored, strict=False):
                document.id = as_id(key)
                if settings.use_state_management:
                    document._save_state()
        if _actions(kind, ActionDirections.AFTER):
            for document in documents:
                await _run_actions(document, ActionDirections.AFTER)

    async def _fetch_links(self, document: type[Document], instances: Sequence[Document]) -> None:
        # Not document.fetch_link(): it takes no session, and Beanie 1 knows no BackLink there.
        fetched: dict[str, Document] = {}
        keys = [Encoder(to_db=True).encode(instance.id) for instance in instances]
        for ids in paged_ids(_collection(document), keys):
            found = await document.find(
                {"_id": {"$in": ids}},
                session=cast("Any", self.session),
                ignore_cache=True,
                fetch_links=True,
            ).to_list()
            fetched.update({str(one.id): one for one in found})
        links = _links(document)
        names = links if self.fetch_links is True else cast("tuple[str, ...]", self.fetch_links)
        for instance in instances:
            # Deleted meanwhile, by a hook, if it is not there.
            one = fetched.get(str(instance.id), instance)
            for name in names:
                current, value = getattr(instance, name), getattr(one, name)
                if not _is_back_link(links[name]):
                    value = _fetched(current, value)
                if value is not current:
                    setattr(instance, name, value)


def _document(model: object) -> type[Document]:
    if not (isinstance(model, type) and issubclass(model, Document)):
        raise AdapterError(
            f"{getattr(model, '__name__', repr(model))} is not a Beanie document, so it cannot "
            "be stored; set Meta.model to a class that derives from beanie.Document."
        )
    return model


def _collection(document: type[Document]) -> AsyncCollection:
    """Return the collection of a document.

    Raises:
        MissingOptionError: When Beanie has not been initialised with the document.
        AdapterError: When it has been, but with a client that it does not work with.
    """
    name = document.__name__
    client = "motor.motor_asyncio.AsyncIOMotorClient" if _ON_MOTOR else "pymongo.AsyncMongoClient"
    how = f'await init_beanie(database={client}(url)["shop"], document_models=[{name}])'
    try:
        settings: Any = document.get_settings()
    except CollectionWasNotInitialized:
        settings = None
    collection = getattr(settings, "motor_collection" if _ON_MOTOR else "pymongo_collection", None)
    if collection is None:
        raise MissingOptionError(
            f"{name} is not initialised, so Beanie can neither store nor even construct it. In a "
            f"fixture that the test uses, write {how}. (A failed init_beanie() counts for nothing; "
            f"Beanie {beanie.__version__} takes a database of {client} only.)"
        )
    if isinstance(collection, PyMongoCollection) if _ON_MOTOR else is_motor(collection):
        raise AdapterError(
            f"{name} was initialised with a database of {'PyMongo' if _ON_MOTOR else 'Motor'}, "
            f"which Beanie {beanie.__version__} does not work with. Write {how}."
        )
    # A class method may say otherwise; what is no class, a function that makes documents, has none.
    own: Any = getattr(document, f"get_{'motor' if _ON_MOTOR else 'pymongo'}_collection", None)
    return cast("AsyncCollection", collection if own is None else own())


def _actions(
    document: type[Document], direction: ActionDirections, event: EventTypes = EventTypes.INSERT
) -> Sequence[object]:
    return ActionRegistry.get_action_list(document, event, direction)


async def _run_actions(document: Document, direction: ActionDirections) -> None:
    await ActionRegistry.run_actions(document, EventTypes.INSERT, direction, [])


def _validates(document: type[Document]) -> bool:
    """Tell whether ``validate_self()`` does anything."""
    return (
        document.get_settings().validate_on_save
        or document.validate_self is not Document.validate_self
        or any(_actions(document, one, EventTypes.VALIDATE_ON_SAVE) for one in ActionDirections)
    )


def _id_parser(document: type[Document]) -> Callable[[Any], Any]:
    """Return what makes an id of a stored ``_id``, as ``Document.insert()`` does."""
    annotation: Any = document.model_fields["id"].annotation
    kind = extract_id_class(annotation)
    parse = TypeAdapter(annotation).validate_python
    return lambda key: key if isinstance(key, kind) else parse(key)


def _stored(document: type[Document], lookup: Mapping[str, Any]) -> dict[str, Any]:
    """Return a lookup with the names and references that are stored, for Beanie to encode."""
    links, names = _links(document), _names(document)
    stored = {}
    for given, value in lookup.items():
        name = names.get(given, given)
        key = document.model_fields[name].alias or name
        stored[key] = _reference(links[name], value) if name in links else value
    return stored


def _names(document: type[Document]) -> Mapping[str, str]:
    """Return the names of fields by their aliases, which objects may be constructed with."""
    fields = document.model_fields
    aliases = {field.alias: name for name, field in fields.items() if field.alias}
    return {alias: name for alias, name in aliases.items() if alias not in fields}


def _links(document: type[Document]) -> Mapping[str, LinkInfo]:
    return document.get_link_fields() or {}


def _is_back_link(link: LinkInfo) -> bool:
    return "BACK" in link.link_type.value


def _fetched(current: object, found: object) -> object:
    """Return a link's value with documents in place of what is not fetched.

    Not just what was found: that is another object than the one the call was given, and in a list
    it is in the order of the collection, without duplicates, as MongoDB's $lookup returns it.
    https://github.com/BeanieODM/beanie/issues/930
    """
    if isinstance(current, list) and isinstance(found, list):
        documents = {str(one.id): one for one in found if isinstance(one, Document)}
        return [
            documents.get(str(one.ref.id), one) if isinstance(one, Link) else one for one in current
        ]
    return found if isinstance(current, Link) else current


def _reference(link: LinkInfo, value: object) -> object:
    """Return what Beanie stores for `value` in the field of a link."""
    if isinstance(value, list):
        return [_reference(link, one) for one in value]
    if isinstance(value, Document | Link):
        return cast("Any", value).to_ref()
    if value is None or isinstance(value, DBRef):
        return value
    linked = cast("type[Document]", link.document_class)
    kind: Any = linked.model_fields["id"].annotation
    return DBRef(linked.get_collection_name(), TypeAdapter(kind).validate_python(value))
