"""How the instances of a model become documents, by the kind of the model."""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from bson import ObjectId

from async_factory_boy.exceptions import AdapterError, ConfigurationError

if TYPE_CHECKING:
    from pydantic import BaseModel

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True


class _Kind(ABC):
    """How objects of a kind of model become documents, and documents become objects."""

    @abstractmethod
    def fields(self, model: Any) -> Collection[str] | None:
        """Return the names that `model` can be constructed with; ``None`` for any."""

    @abstractmethod
    def document(self, instance: Any) -> dict[str, Any]:
        """Return what to store of an object; without ``_id`` if it has none yet."""

    @abstractmethod
    def set_id(self, instance: Any, document: Mapping[str, Any]) -> None:
        """Set the ``_id`` of `document`, which was made of an object, on that object."""

    @abstractmethod
    def stored(self, model: Any, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return some of an object's fields as they are stored."""

    @abstractmethod
    def load(self, model: Any, document: Mapping[str, Any]) -> Any:
        """Return the object of a document."""


class _Dicts(_Kind):
    def fields(self, model: Any) -> Collection[str] | None:
        if not hasattr(model, "__required_keys__"):
            return None
        names: frozenset[str] = model.__required_keys__ | model.__optional_keys__
        return names

    def document(self, instance: Any) -> dict[str, Any]:
        return {k: v for k, v in instance.items() if not (k == "_id" and v is None)}

    def set_id(self, instance: Any, document: Mapping[str, Any]) -> None:
        instance["_id"] = document["_id"]

    def stored(self, model: Any, values: Mapping[str, Any]) -> Mapping[str, Any]:
        return values

    def load(self, model: Any, document: Mapping[str, Any]) -> Any:
        return model(document)


class _Dataclasses(_Kind):
    def fields(self, model: Any) -> Collection[str]:
        return {field.name for field in dataclasses.fields(model)}

    def document(self, instance: Any) -> dict[str, Any]:
        document: dict[str, Any] = dataclasses.asdict(instance, dict_factory=_with_id)
        return document

    def set_id(self, instance: Any, document: Mapping[str, Any]) -> None:
        name = _id_field(self.fields(instance))
        if name is not None:
            object.__setattr__(instance, name, document["_id"])  # it may be frozen

    def stored(self, model: Any, values: Mapping[str, Any]) -> Mapping[str, Any]:
        key = _id_field(self.fields(model))
        return {
            "_id" if name == key else name: self._plain(value) for name, value in values.items()
        }

    def _plain(self, value: object) -> object:
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return self.document(value)
        return value

    def load(self, model: Any, document: Mapping[str, Any]) -> Any:
        hints = _type_hints(model)
        key = _id_field(self.fields(model))
        given: dict[str, Any] = {}
        others: dict[str, Any] = {}
        for field in dataclasses.fields(model):
            stored_as = "_id" if field.name == key else field.name
            if stored_as in document:
                value = self._object(hints.get(field.name), document[stored_as])
                (given if field.init else others)[field.name] = value
        instance = model(**given)
        for name, value in others.items():
            object.__setattr__(instance, name, value)
        return instance

    def _object(self, hint: Any, value: Any) -> Any:
        """Return a value that was stored for a field, with dataclasses where `hint` has them."""
        if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
            return self.load(hint, value)
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if origin in (typing.Union, types.UnionType):
            objects = (self._object(argument, value) for argument in arguments)
            return next((one for one in objects if one is not value), value)
        if origin in (list, tuple) and isinstance(value, list):
            return origin(self._object(arguments[0], item) for item in value)
        return value


class _PydanticModels(_Kind):
    def fields(self, model: type[BaseModel]) -> Collection[str] | None:
        if model.model_config.get("extra") == "allow":
            return None
        aliases = (field.validation_alias for field in model.model_fields.values())
        return {*model.model_fields, *(alias for alias in aliases if isinstance(alias, str))}

    def document(self, instance: BaseModel) -> dict[str, Any]:
        document = self._dump(instance)
        if document.get("_id", ...) is None:
            del document["_id"]
        return document

    def _dump(self, instance: BaseModel, **options: Any) -> dict[str, Any]:
        dumped = instance.model_dump(by_alias=True, **options)
        name = self._id_field(type(instance))
        if name is not None:
            # The alias may be for validation only.
            key = type(instance).model_fields[name].serialization_alias or name
            if key != "_id" and key in dumped:
                dumped["_id"] = dumped.pop(key)
        return dumped

    def set_id(self, instance: BaseModel, document: Mapping[str, Any]) -> None:
        name = self._id_field(type(instance))
        if name is None:
            return
        if type(instance).model_fields[name].frozen:
            vars(instance)[name] = getattr(self.load(type(instance), document), name)
        else:
            # As under validate_assignment: the field's type may be str.
            validator = type(instance).__pydantic_validator__
            validator.validate_assignment(instance, name, document["_id"])

    def stored(self, model: type[BaseModel], values: Mapping[str, Any]) -> Mapping[str, Any]:
        some = model.model_construct(**values)
        names = some.model_fields_set.union(some.model_extra or ())
        stored = self._dump(some, include=names, warnings=False)
        if len(stored) != len(values):
            raise ConfigurationError(
                "get_or_create",
                f"names fields that {model.__name__} does not store: of {', '.join(values)}, its "
                f"model_dump() has {', '.join(stored) or 'none'}.",
                owner="MongoAdapter",
            )
        return stored

    def load(self, model: type[BaseModel], document: Mapping[str, Any]) -> BaseModel:
        values = dict(document)
        name = self._id_field(model)
        if name is None:
            del values["_id"]
        elif model.model_fields[name].validation_alias is None:
            values[name] = values.pop("_id")
        return model.model_validate(values)

    def _id_field(self, model: type[BaseModel]) -> str | None:
        for name, field in model.model_fields.items():
            if "_id" in (field.serialization_alias, field.validation_alias):
                return name
        return None


def _with_id(items: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return the document of a dataclass, given its fields."""
    values = dict(items)
    key = _id_field(values)
    document = {"_id" if name == key else name: value for name, value in values.items()}
    if document.get("_id", ...) is None:
        del document["_id"]
    return document


def _id_field(names: Collection[str]) -> str | None:
    """Return the name of the field of a dataclass that is stored as ``_id``, if it has one."""
    return next((name for name in ("_id", "id") if name in names), None)


def _type_hints(model: type) -> Mapping[str, Any]:
    try:
        return typing.get_type_hints(model)
    except NameError:  # of a class that was defined in a function
        return {}


def document_of(instance: Any) -> dict[str, Any]:
    """Return what to store of an object, which is given an ``_id`` if it has none."""
    kind = kind_of(type(instance))
    document = kind.document(instance)
    if "_id" not in document:
        # Before anything is stored, in case the object's field cannot take it.
        document["_id"] = ObjectId()
        kind.set_id(instance, document)
    return document


def class_of(model: Any) -> Any:
    """Return the class that `model`, which may be ``dict[str, Any]``, makes objects of."""
    return typing.get_origin(model) or model


def kind_of(model: Any) -> _Kind:
    """Return how to store objects of `model`.

    Raises:
        AdapterError: When they cannot be stored.
    """
    if isinstance(model, type):
        if issubclass(model, dict):
            return _Dicts()
        if dataclasses.is_dataclass(model):
            return _Dataclasses()
        # What is not imported cannot have made the model.
        pydantic = sys.modules.get("pydantic")
        if pydantic is not None and issubclass(model, pydantic.BaseModel):
            return _PydanticModels()
    raise AdapterError(
        f"{getattr(model, '__name__', repr(model))} is no kind of model that can be stored in a "
        "collection; set Meta.model to dict, a TypedDict, a dataclass, or a pydantic model."
    )
