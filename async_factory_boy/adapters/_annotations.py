"""Reads what the fields of a model are from its annotations: pydantic's, dataclasses', TypedDicts'.

Knows no ORM. A store whose annotations have a meaning of their own derives from `Reader`.
"""

from __future__ import annotations

import collections
import collections.abc
import dataclasses
import datetime
import enum
import inspect
import re
import sys
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from async_factory_boy.adapters.fields import NO_DEFAULT, Field, Relation
from async_factory_boy.adapters.narrowing import narrow
from async_factory_boy.exceptions import AdapterError

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

# What an annotation is wrapped in that says nothing of the value.
_QUALIFIERS = ("Required", "NotRequired", "ReadOnly", "Final", "ClassVar")

# What is constructed for an annotation that names what a value can do.
CONCRETE: Mapping[Any, type] = {
    collections.abc.Iterable: list,
    collections.abc.Collection: list,
    collections.abc.Sequence: list,
    collections.abc.MutableSequence: list,
    collections.abc.Set: set,
    collections.abc.MutableSet: set,
    collections.abc.Mapping: dict,
    collections.abc.MutableMapping: dict,
}


def is_union(annotation: Any) -> bool:
    """Tell whether an annotation is ``Union[X, Y]`` or ``X | Y``."""
    return typing.get_origin(annotation) in (typing.Union, types.UnionType)


class Reader:
    """Makes a `Field` of an annotation. Override what a store's own annotations mean."""

    def plain(self, annotation: Any) -> Any:
        """Return the annotation that one of the store's own stands for, or else the same."""
        return annotation

    def relation(self, annotation: Any) -> Relation | None:
        """Return the relation that an annotation stands for, if it does."""
        return None

    def field(self, name: str, annotation: Any, metadata: Iterable[Any] = ()) -> Field:
        """Return what an annotation says of a field, but for whether it has to be given.

        Args:
            name: As the constructor takes it.
            annotation: The annotation.
            metadata: What else applies to it, as if in ``Annotated``.
        """
        metadata = [one for one in metadata if one is not None]
        field = self._read(name, annotation, metadata, frozenset())
        return dataclasses.replace(field, annotation=_annotated(self.plain(annotation), metadata))

    def _read(
        self, name: str, annotation: Any, outer: Sequence[Any], within: frozenset[Any]
    ) -> Field:
        annotation, metadata, within = self._unwrapped(annotation, outer, within)
        relation = self.relation(annotation)
        if relation is not None:
            return Field(name=name, type=relation.target, relation=relation)
        origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
        if _is_json(metadata):
            # The constructor takes the text, whatever the annotation says of what is in it.
            return Field(name=name, type=sys.modules["pydantic"].Json)
        if is_union(annotation):
            return self._union(name, arguments, metadata, within)
        if origin is typing.Literal:
            return _literal(name, arguments)
        made = constraints(metadata)
        if origin is None:
            single, aware = _class(annotation)
            if aware is not None:
                made["aware"] = aware
            return Field(name=name, type=single, **made)
        kind: Any = CONCRETE.get(origin, origin)
        if not isinstance(kind, type) or kind is collections.abc.Callable:
            return Field(name=name, **made)
        many: Relation | None = None
        element: Field | None = None
        if issubclass(kind, tuple) and arguments[-1:] != (...,):
            items = [one for one in arguments if one != ()]  # tuple[()] on Python 3.10
            made["min_length"] = made["max_length"] = len(items)
            if items and all(one == items[0] for one in items):
                element = self.element(name, items[0], within)
        elif issubclass(kind, collections.abc.Mapping):
            element = self.element(name, arguments[-1], within)
        elif issubclass(kind, collections.abc.Collection):
            element = self.element(name, arguments[0], within)
            if element.relation is not None and not element.relation.many:
                many = dataclasses.replace(element.relation, many=True)
        return Field(name=name, type=kind, element=element, relation=many, **made)

    def element(self, name: str, annotation: Any, within: frozenset[Any]) -> Field:
        """Return what an annotation says of the items of a field."""
        field = self._read(name, annotation, (), within)
        return dataclasses.replace(field, annotation=annotation)

    def _unwrapped(
        self, annotation: Any, metadata: Sequence[Any], within: frozenset[Any]
    ) -> tuple[Any, Sequence[Any], frozenset[Any]]:
        """Return an annotation without what is around it, the metadata, and aliases passed."""
        while True:
            origin = typing.get_origin(annotation)
            if hasattr(annotation, "__metadata__"):
                metadata = [*annotation.__metadata__, *metadata]
                annotation = annotation.__origin__
            elif hasattr(annotation, "__supertype__"):
                annotation = annotation.__supertype__
            elif _is_alias(annotation) or _is_alias(origin):
                if annotation in within:  # an alias that refers to itself
                    return None, metadata, within
                within |= {annotation}
                arguments = typing.get_args(annotation)
                annotation = origin.__value__[arguments] if arguments else annotation.__value__
            elif getattr(origin, "_name", None) in _QUALIFIERS:
                (annotation,) = typing.get_args(annotation)
            elif isinstance(annotation, dataclasses.InitVar):
                annotation = annotation.type
            elif isinstance(annotation, TypeVar):
                among = annotation.__constraints__ or (annotation.__bound__ or Any,)
                annotation = among[0]
            else:
                plain = self.plain(annotation)
                if plain is annotation:
                    return annotation, metadata, within
                annotation = plain

    def _union(
        self, name: str, members: Sequence[Any], metadata: Sequence[Any], within: frozenset[Any]
    ) -> Field:
        nullable = any(one in (None, type(None)) for one in members)
        fields = [
            self._read(name, one, metadata, within)
            for one in members
            if one not in (None, type(None))
        ]
        if len(fields) > 1 and all(one.choices for one in fields):
            choices = [choice for one in fields for choice in one.choices]
            fields.insert(0, _literal(name, choices))
        told = next((one for one in fields if one.type is not None), fields[0])
        return dataclasses.replace(told, nullable=nullable or told.nullable)

    def unresolved(self, annotation: Any) -> Iterator[str]:
        """Yield the names in an annotation that stand for classes which are not known."""
        if isinstance(annotation, str):
            yield annotation
        elif isinstance(annotation, typing.ForwardRef):
            yield annotation.__forward_arg__.strip("'\"")
        elif hasattr(annotation, "__metadata__"):
            yield from self.unresolved(annotation.__origin__)
        elif typing.get_origin(annotation) is not typing.Literal:
            for one in typing.get_args(annotation):
                yield from self.unresolved(one)

    def unresolved_error(self, model: Any, field: str, missing: str) -> AdapterError:
        """Return the error for an annotation that names a class which is not known."""
        return AdapterError(
            f"{model.__name__}.{field} is annotated with {missing}, which is not defined yet. "
            f"Call {model.__name__}.model_rebuild() before the factory is used, once all classes "
            "are defined."
        )


def _annotated(annotation: Any, metadata: Sequence[Any]) -> Any:
    for one in metadata:
        annotation = typing.Annotated[annotation, one]
    return annotation


def _is_alias(annotation: Any) -> bool:
    """Tell whether an annotation was defined by a ``type`` statement."""
    return type(annotation).__name__ == "TypeAliasType"


def _is_json(metadata: Sequence[Any]) -> bool:
    # What is not imported cannot have made the annotation.
    json = getattr(sys.modules.get("pydantic"), "Json", None)
    return json is not None and any(one is json or isinstance(one, json) for one in metadata)


def _literal(name: str, values: Sequence[Any]) -> Field:
    choices = tuple(dict.fromkeys(one for one in values if one is not None))
    kinds = {type(one) for one in choices}
    return Field(
        name=name,
        type=kinds.pop() if len(kinds) == 1 else object if choices else type(None),
        choices=choices,
        nullable=None in values,
    )


def _class(annotation: Any) -> tuple[Any, bool | None]:
    """Return the class of values, and whether they have a time zone, if that matters."""
    if annotation is Any:
        return object, None
    if not isinstance(annotation, type):
        # A class that is named only, or what is no class at all.
        return None, None
    pydantic = sys.modules.get("pydantic")
    if pydantic is not None and annotation in (pydantic.AwareDatetime, pydantic.NaiveDatetime):
        return datetime.datetime, annotation is pydantic.AwareDatetime
    return CONCRETE.get(annotation, annotation), None


def flattened(metadata: Iterable[Any]) -> Iterator[Any]:
    """Yield each constraint of the metadata of an annotation by itself."""
    for one in metadata:
        if hasattr(one, "metadata") and hasattr(one, "is_required"):  # pydantic's Field()
            yield from flattened(one.metadata)
        elif getattr(one, "__is_annotated_types_grouped_metadata__", False):
            yield from flattened(one)
        elif one is not None:
            yield one


# How two constraints of the same name become one.
# The constraints of annotated_types and of pydantic, each with what a field calls it.
_CALLED = {
    "ge": "ge", "gt": "gt", "le": "le", "lt": "lt", "multiple_of": "multiple_of",
    "min_length": "min_length", "max_length": "max_length", "pattern": "pattern",
    "max_digits": "precision", "decimal_places": "scale",
}  # fmt: skip


def constraints(metadata: Iterable[Any]) -> dict[str, Any]:
    """Return what the metadata of an annotation says, by the names of `Field`."""
    found: dict[str, Any] = {}
    for one in flattened(metadata):
        for given, name in _CALLED.items():
            value = getattr(one, given, None)
            if not callable(value):
                value = value.pattern if isinstance(value, re.Pattern) else value
                narrow(found, **{name: value})
        if hasattr(one, "tz"):
            found["aware"] = one.tz is not None
    return found


def pydantic_fields(model: type[BaseModel], reader: Reader | None = None) -> Sequence[Field]:
    """Return the fields of a pydantic model or dataclass.

    Raises:
        AdapterError: When an annotation names a class that is not defined yet.
    """
    reader = reader or Reader()
    rebuild = getattr(model, "model_rebuild", None)
    if rebuild is not None and not model.__pydantic_complete__:
        # As pydantic does itself, when the first object is made.
        rebuild(raise_errors=False)
    return [
        _pydantic_field(model, name, info, reader)
        for name, info in infos_of(model).items()
        if info.init is not False
    ]


def infos_of(model: Any) -> Mapping[str, FieldInfo]:
    """Return what pydantic knows of the fields of a model or dataclass."""
    infos: Any = getattr(model, "model_fields", None)
    return infos if infos is not None else model.__pydantic_fields__  # type: ignore[no-any-return]


def _pydantic_field(model: type[BaseModel], name: str, info: FieldInfo, reader: Reader) -> Field:
    missing = next(reader.unresolved(info.annotation), None)
    if missing is not None:
        raise reader.unresolved_error(model, name, missing)
    metadata = list(info.metadata)
    if info.discriminator is not None:
        discriminator = info.discriminator
        if isinstance(discriminator, str):
            discriminator = sys.modules["pydantic"].Discriminator(discriminator)
        metadata.append(discriminator)
    field = reader.field(keyword_of(model, name), info.annotation, metadata)
    field = _configured(field, config_of(model))
    default = NO_DEFAULT if info.is_required() or info.default_factory else info.default
    return dataclasses.replace(
        field,
        required=info.is_required(),
        default=default,
        has_default=not info.is_required(),
    )


def config_of(model: Any) -> Mapping[str, Any]:
    """Return what a pydantic model or dataclass is configured with; nothing for other models."""
    config: Any = getattr(model, "model_config", None) or getattr(model, "__pydantic_config__", {})
    return config  # type: ignore[no-any-return]


def _configured(field: Field, config: Mapping[str, Any]) -> Field:
    """Return a field with the lengths that a model has for all strings."""
    if field.element is not None:
        return dataclasses.replace(field, element=_configured(field.element, config))
    if field.type is not str or field.choices:
        return field
    least, most = config.get("str_min_length"), config.get("str_max_length")
    return dataclasses.replace(
        field,
        min_length=(least or None) if field.min_length is None else field.min_length,
        max_length=most if field.max_length is None else field.max_length,
    )


def keyword_of(model: Any, name: str) -> str:
    """Return the keyword by which the constructor of a pydantic model takes a field."""
    info, config = infos_of(model)[name], config_of(model)
    alias: Any = info.validation_alias
    if alias is None or config.get("populate_by_name") or config.get("validate_by_name"):
        return name
    # Of several, the first one that is a plain name.
    aliases = getattr(alias, "choices", [alias])
    plain = [one for one in aliases if isinstance(one, str)]
    return plain[0] if plain else str(aliases[0].path[0])


def dataclass_fields(model: Any, reader: Reader | None = None) -> Sequence[Field]:
    """Return the fields of a dataclass.

    Raises:
        AdapterError: When an annotation names a class that cannot be found.
    """
    if hasattr(model, "__pydantic_fields__"):
        return pydantic_fields(model, reader)
    reader = reader or Reader()
    hints = _hints(model, reader)
    factories = {
        one.name
        for one in dataclasses.fields(model)
        if one.default_factory is not dataclasses.MISSING
    }
    fields = []
    for name, parameter in inspect.signature(model).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        required = parameter.default is parameter.empty
        written = Any if parameter.annotation is parameter.empty else parameter.annotation
        fields.append(
            dataclasses.replace(
                reader.field(name, hints.get(name, written)),
                required=required,
                default=NO_DEFAULT if required or name in factories else parameter.default,
                has_default=not required,
            )
        )
    return fields


def typed_dict_fields(model: Any, reader: Reader | None = None) -> Sequence[Field]:
    """Return the keys of a TypedDict.

    Raises:
        AdapterError: When an annotation names a class that cannot be found.
    """
    reader = reader or Reader()
    return [
        dataclasses.replace(
            reader.field(name, hint), required=_is_required(hint, name in model.__required_keys__)
        )
        for name, hint in _hints(model, reader).items()
    ]


def _is_required(hint: Any, default: bool) -> bool:
    # Where annotations are strings, the class does not know what these say.
    origin = getattr(typing.get_origin(hint), "_name", None)
    if origin == "ReadOnly" or hasattr(hint, "__metadata__"):
        inner = getattr(hint, "__origin__", None) if origin is None else typing.get_args(hint)[0]
        return _is_required(inner, default)
    return {"Required": True, "NotRequired": False}.get(origin or "", default)


def _hints(model: Any, reader: Reader) -> Mapping[str, Any]:
    try:
        return typing.get_type_hints(model, include_extras=True)
    except NameError as error:
        name = getattr(error, "name", None) or str(error)
        field = next(
            (
                one
                for base in model.__mro__
                for one, hint in getattr(base, "__annotations__", {}).items()
                if re.search(rf"\b{re.escape(name)}\b", str(hint))
            ),
            "?",
        )
        raise _unfound(model, field, name) from None


def _unfound(model: Any, field: str, missing: str) -> AdapterError:
    return AdapterError(
        f"{model.__name__}.{field} is annotated with {missing}, which cannot be found from "
        f"{model.__module__}. Import or define it at the top level of that module, not in a "
        "function and not under TYPE_CHECKING."
    )


def part_fields(kind: Any) -> Sequence[Field]:
    """Return the fields of what is stored within an object: of any class with fields of its own.

    It is no object of a store, so no adapter is asked.
    """
    if dataclasses.is_dataclass(kind):
        return dataclass_fields(kind)
    return typed_dict_fields(kind) if hasattr(kind, "__required_keys__") else pydantic_fields(kind)


def is_nested_model(kind: Any) -> bool:
    """Tell whether a class has fields of its own: a pydantic model, a dataclass, a TypedDict."""
    if not isinstance(kind, type) or issubclass(kind, enum.Enum):
        return False
    return (
        dataclasses.is_dataclass(kind)
        or hasattr(kind, "__pydantic_fields__")
        or hasattr(kind, "__required_keys__")
    )
