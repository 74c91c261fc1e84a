"""How the instances of a model become documents, by the kind of the model."""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bson import ObjectId

from async_factory_boy.adapters._annotations import (
    dataclass_fields,
    keyword_of,
    pydantic_fields,
    typed_dict_fields,
)
from async_factory_boy.adapters.fields import Field
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
    def described(self, model: Any) -> Sequence[Field]:
        """Return what the fields of `model` are.

        Raises:
            AdapterError: When that cannot be told.
        """

    @abstractmethod
    def document(self, instance: Any) -> dict[str, Any]:
        """Return what to store of an object; without ``_id`` if it has none yet."""

    @abstractmethod
    def set_id(self, instance: Any, document: Mapping[str, Any]) -> None:
        """Set the ``_id`` of `document`, which was made of an object, on that object."""

    @abstractmethod
    def id_of(self, instance: Any) -> Mapping[str, Any]:
        """Return the ``_id`` of an object by its name there; empty if it has no place for it."""

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

    def described(self, model: Any) -> Sequence[Field]:
        if not hasattr(model, "__required_keys__"):
            raise AdapterError(
                f"Meta.model is {model.__name__}, which has no fields to tell, so nothing can be "
                "declared for it. Set Meta.model to a TypedDict, a dataclass or a pydantic model; "
                "or write the declarations in the factory."
            )
        return [
            # A dict may lack the key, and is given one.
            _as_key(one, filled=_takes_object_id(one)) if one.name == "_id" else one
            for one in typed_dict_fields(model)
        ]

    def document(self, instance: Any) -> dict[str, Any]:
        return {k: v for k, v in instance.items() if not (k == "_id" and v is None)}

    def set_id(self, instance: Any, document: Mapping[str, Any]) -> None:
        instance["_id"] = document["_id"]

    def id_of(self, instance: Any) -> Mapping[str, Any]:
        return {"_id": instance.get("_id")}

    def stored(self, model: Any, values: Mapping[str, Any]) -> Mapping[str, Any]:
        return values

    def load(self, model: Any, document: Mapping[str, Any]) -> Any:
        return model(document)


class _Dataclasses(_Kind):
    def fields(self, model: Any) -> Collection[str]:
        return {field.name for field in dataclasses.fields(model)}

    def described(self, model: Any) -> Sequence[Field]:
        key = _id_field(self.fields(model))
        return [
            _as_key(one, filled=one.has_default) if one.name == key else one
            for one in dataclass_fields(model)
        ]

    def document(self, instance: Any) -> dict[str, Any]:
        document: dict[str, Any] = dataclasses.asdict(instance, dict_factory=_with_id)
        return document

    def set_id(self, instance: Any, document: Mapping[str, Any]) -> None:
        name = _id_field(self.fields(instance))
        if name is not None:
            object.__setattr__(instance, name, document["_id"])  # it may be frozen

    def id_of(self, instance: Any) -> Mapping[str, Any]:
        name = _id_field(self.fields(instance))
        return {} if name is None else {name: getattr(instance, name)}

    def stored(self, model: Any, values: Mapping[str, Any]) -> Mapping[str, Any]:
        key = _id_field(self.fields(model))
        return {
            "_id" if name == key else name: self._plain(value) for name, value in values.items()
        }

    def _plain(self, value: Any) -> object:
        """Return a value as `document` stores it, as ``dataclasses.asdict()`` does."""
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return self.document(value)
        if isinstance(value, list | tuple):
            return [self._plain(item) for item in value]
        if isinstance(value, dict):
            return {key: self._plain(item) for key, item in value.items()}
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
            return self._object(self._member(arguments, value), value)
        if isinstance(value, list) and arguments:
            if origin is tuple and arguments[-1] is not ...:
                # Of another length only where the class has changed since.
                return tuple(map(self._object, arguments, value))
            if origin in (list, tuple, Sequence, Collection):
                items = (self._object(arguments[0], item) for item in value)
                return tuple(items) if origin is tuple else list(items)
        if isinstance(value, Mapping) and origin in (dict, Mapping) and arguments:
            return {key: self._object(arguments[1], item) for key, item in value.items()}
        return value

    def _member(self, arguments: Sequence[Any], value: Any) -> Any:
        """Return the member of a union that a value was stored for: the first that fits."""
        if isinstance(value, Mapping):
            models = [one for one in arguments if dataclasses.is_dataclass(one)]
            fitting = [one for one in models if self._fits(one, value)]
            mappings = [one for one in arguments if typing.get_origin(one) in (dict, Mapping)]
            found = [*fitting, *mappings, *models]
        else:
            origins = (list, tuple, Sequence, Collection) if isinstance(value, list) else ()
            found = [one for one in arguments if typing.get_origin(one) in origins]
        return found[0] if found else None

    def _fits(self, model: Any, document: Mapping[str, Any]) -> bool:
        """Tell whether a document has the fields of a dataclass, and no others."""
        key = _id_field(self.fields(model))
        names = {"_id" if one.name == key else one.name: one for one in dataclasses.fields(model)}
        required = {
            name
            for name, one in names.items()
            if one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING
        }
        return required <= document.keys() <= names.keys()


class _PydanticModels(_Kind):
    def fields(self, model: type[BaseModel]) -> Collection[str] | None:
        if model.model_config.get("extra") == "allow":
            return None
        aliases = (field.validation_alias for field in model.model_fields.values())
        return {*model.model_fields, *(alias for alias in aliases if isinstance(alias, str))}

    def described(self, model: type[BaseModel]) -> Sequence[Field]:
        name = self._id_field(model)
        key = None if name is None else keyword_of(model, name)
        return [
            _as_key(one, filled=one.has_default) if one.name == key else one
            for one in pydantic_fields(model)
        ]

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

    def id_of(self, instance: BaseModel) -> Mapping[str, Any]:
        name = self._id_field(type(instance))
        return {} if name is None else {name: vars(instance)[name]}

    def stored(self, model: type[BaseModel], values: Mapping[str, Any]) -> Mapping[str, Any]:
        some = model.model_construct(**values)
        fields = model.model_fields
        by_alias = {field.validation_alias: name for name, field in fields.items()}
        names = {name if name in fields else by_alias.get(name, name) for name in values}
        key = self._id_field(model)
        keys = {
            "_id" if name == key else (name in fields and fields[name].serialization_alias) or name
            for name in names
        }
        # What else is there, an own model_dump() or model_post_init() has added.
        dumped = self._dump(some, include=names, warnings=False)
        stored = {name: value for name, value in dumped.items() if name in keys}
        if len(stored) != len(values):
            raise ConfigurationError(
                "get_or_create",
                f"names fields that {model.__name__} does not store: of {', '.join(values)}, its "
                f"model_dump() has {', '.join(stored) or 'none'}.",
                owner="MongoAdapter",
            )
        return stored

    def load(self, model: type[BaseModel], document: Mapping[str, Any]) -> BaseModel:
        values: dict[str, Any] = _without_computed(model, dict(document))
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


def _as_key(field: Field, *, filled: bool) -> Field:
    """Return the field of a document's ``_id``, which may be filled where none is given."""
    return dataclasses.replace(
        field,
        required=field.required and not filled,
        generated=filled,
        unique=(frozenset({field.name}),),
    )


def _takes_object_id(field: Field) -> bool:
    kind = field.type
    return isinstance(kind, type) and (issubclass(ObjectId, kind) or issubclass(kind, ObjectId))


def _without_computed(hint: Any, value: Any) -> Any:
    """Return a value that was stored for a field, without what pydantic computes.

    ``model_dump()`` has that too, and a model that forbids extra fields refuses it.
    https://docs.pydantic.dev/latest/api/fields/#pydantic.fields.computed_field
    """
    computed = getattr(hint, "model_computed_fields", None)
    if computed is not None and isinstance(value, Mapping):
        names = {field.alias or name for name, field in computed.items()}
        hints: dict[str, Any] = {}
        for name, field in hint.model_fields.items():
            own = {name, field.serialization_alias, field.validation_alias}
            names -= own
            hints.update({one: field.annotation for one in own if isinstance(one, str)})
        return {
            name: _without_computed(hints.get(name), one)
            for name, one in value.items()
            if name not in names
        }
    arguments = [one for one in typing.get_args(hint) if one is not ...]
    if not arguments:
        return value
    if isinstance(value, list):
        if typing.get_origin(hint) is tuple and len(arguments) == len(value):
            return list(map(_without_computed, arguments, value))
        return [_without_computed(arguments[0], one) for one in value]
    if isinstance(value, Mapping):
        if typing.get_origin(hint) in (typing.Union, types.UnionType):
            return _without_computed_of_union(arguments, value)
        return {name: _without_computed(arguments[-1], one) for name, one in value.items()}
    return value


def _without_computed_of_union(members: Sequence[Any], value: Mapping[str, Any]) -> Any:
    """Return what a union takes for what was stored, as `_without_computed` of one member."""
    for member in members:
        without = _without_computed(member, value)
        # What is left are the fields of the member, if it is that which was stored.
        if without != value and _knows(member, without):
            return without
    return value


def _knows(model: Any, names: Iterable[str]) -> bool:
    known = {
        one
        for name, field in model.model_fields.items()
        for one in (name, field.serialization_alias, field.validation_alias)
    }
    return known.issuperset(names)


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
