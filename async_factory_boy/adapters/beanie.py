"""Stores Beanie documents: Beanie 2 on PyMongo's ``AsyncMongoClient``, Beanie 1.30 on Motor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeVar, cast

from async_factory_boy.adapters import missing
from async_factory_boy.adapters.base import PersistenceAdapter, fields_option
from async_factory_boy.exceptions import (
    AdapterError,
    ConfigurationError,
    MissingOptionError,
    OptionError,
)
from async_factory_boy.options import CallOption

try:
    from beanie import BackLink, Document, Link, WriteRules
    from beanie.exceptions import CollectionWasNotInitialized
    from bson import DBRef
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
            links = document.get_link_fields() or {}
            self._check_names("fetch_links", self.fetch_links, "link", links)

    def build(self, model: type[M], args: Sequence[Any], kwargs: Mapping[str, Any]) -> M:
        try:
            return super().build(model, args, kwargs)
        except CollectionWasNotInitialized:
            raise _not_initialised(model) from None

    async def save(self, instance: M) -> M:
        document = cast("Document", instance)
        saved = await document.insert(session=cast("Any", self.session), link_rule=self.link_rule)
        return cast("M", saved)

    async def find(self, model: type[M], lookup: Mapping[str, Any]) -> M | None:
        document = cast("type[Document]", model)
        query = {}
        for name, value in lookup.items():
            path, value = _stored(document, name, value)
            query[path] = value
        # A document that Beanie's cache holds may be gone.
        found = await document.find_one(query, session=cast("Any", self.session), ignore_cache=True)
        return cast("M | None", found)

    async def finish(self, instances: Sequence[M]) -> None:
        if self.fetch_links:
            of_class: dict[type[Document], list[Document]] = {}
            for instance in cast("Sequence[Document]", instances):
                of_class.setdefault(type(instance), []).append(instance)
            for document, some in of_class.items():
                await self._fetch_links(document, some)
