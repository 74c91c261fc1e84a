"""Stores Beanie documents: Beanie 2 on PyMongo's ``AsyncMongoClient``, Beanie 1.30 on Motor."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar, cast

from async_factory_boy.adapters import missing
from async_factory_boy.adapters.base import fields_option
from async_factory_boy.exceptions import (
    AdapterError,
    ConfigurationError,
    MissingOptionError,
)
from async_factory_boy.options import CallOption

try:
    import beanie
    from beanie import Document, Link, WriteRules
    from beanie.exceptions import CollectionWasNotInitialized
    from beanie.odm.fields import LinkInfo
    from bson import DBRef
    from pydantic import TypeAdapter
    from pymongo.asynchronous.collection import AsyncCollection as PyMongoCollection
except ModuleNotFoundError as error:  # pragma: no cover (tested where it is not installed)
    raise ImportError(missing("Beanie", "beanie")) from error

from async_factory_boy.adapters.mongo import (
    AsyncCollection,
    AsyncSession,
    ClientSessionAdapter,
    check_session,
    is_motor,
)

__all__ = ["BeanieAdapter"]

M = TypeVar("M")

# Beanie 2 replaced Motor by PyMongo's async API, and renamed what returns a collection.
_ON_MOTOR = not hasattr(Document, "get_pymongo_collection")


class BeanieAdapter(ClientSessionAdapter[M]):
    """Stores Beanie documents, each as under ``await document.insert()``.

    ```python
    class UserFactory(AsyncFactory[User]):
        class Meta:
            model = User
            adapter = BeanieAdapter(get_or_create=("email",))
    ```

    Event actions, ``validate_on_save``, state management and revision ids work as they do there.
    Given a client session (``beanie_session``) that is in a transaction, the adapter stores and
    looks up in it, and leaves it to the caller to commit or abort. Tasks may share a session: the
    adapter waits its turn.

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
            else fields_option("fetch_links", fetch_links, owner=owner)
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
        if not self.handles(model):
            raise AdapterError(
                f"{getattr(model, '__name__', repr(model))} is not a Beanie document, so it cannot "
                "be stored; set Meta.model to a class that derives from beanie.Document."
            )
        document = cast("type[Document]", model)
        self.check_usable(_collection(document), f"the document {document.__name__}")
        self._check_names("get_or_create", self.get_or_create, "field", document.model_fields)
        if isinstance(self.fetch_links, tuple):
            self._check_names("fetch_links", self.fetch_links, "link", _links(document))

    def _check_names(
        self, option: str, names: Iterable[str], what: str, known: Collection[str]
    ) -> None:
        for name in names:
            if name not in known:
                raise ConfigurationError(
                    option,
                    f"names {name!r}, which is not a {what} of the document; it has: "
                    f"{', '.join(sorted(known)) or 'none'}.",
                    owner=type(self).__name__,
                )

    def build(self, model: type[M], args: Sequence[Any], kwargs: Mapping[str, Any]) -> M:
        try:
            return super().build(model, args, kwargs)
        except CollectionWasNotInitialized:
            _collection(cast("type[Document]", model))  # raises our own, if it is this document
            raise

    async def save(self, instance: M) -> M:
        document = cast("Document", instance)
        saved = await document.insert(session=cast("Any", self.session), link_rule=self.link_rule)
        return cast("M", saved)

    async def find(self, model: type[M], lookup: Mapping[str, Any]) -> M | None:
        document = cast("type[Document]", model)
        links = _links(document)
        query = {}
        for name, value in lookup.items():
            stored = _reference(links[name], value) if name in links else value
            # $eq: else a pattern, or a dict with operators, would be taken for one.
            query[document.model_fields[name].alias or name] = {"$eq": stored}
        # Not from Beanie's cache: what that holds may be gone.
        session = cast("Any", self.session)
        found = await document.find_one(query, session=session, ignore_cache=True)
        return cast("M | None", found)

    async def finish(self, instances: Sequence[M]) -> None:
        if not self.fetch_links:
            return
        of_class: dict[type[Document], list[Document]] = {}
        for instance in cast("Sequence[Document]", instances):
            of_class.setdefault(type(instance), []).append(instance)
        for document, some in of_class.items():
            await self._fetch_links(document, some)

    async def _fetch_links(self, document: type[Document], instances: Sequence[Document]) -> None:
        # Not document.fetch_link(): it takes no session, and Beanie 1 knows no BackLink there.
        found = await document.find(
            {"_id": {"$in": [instance.id for instance in instances]}},
            session=cast("Any", self.session),
            ignore_cache=True,
            fetch_links=True,
        ).to_list()
        fetched = {str(one.id): one for one in found}
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
    return cast("AsyncCollection", collection)


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
