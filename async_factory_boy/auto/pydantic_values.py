"""Values for fields whose constraints factory_boy's own declarations cannot express.

They are made by polyfactory, which the extra ``auto`` installs.
"""

from __future__ import annotations

import re
import sys
import typing
from collections.abc import Callable
from typing import Any

from async_factory_boy.adapters._annotations import flattened
from async_factory_boy.adapters.fields import Field
from async_factory_boy.auto.chosen import name_of
from async_factory_boy.exceptions import ConfigurationError

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True


def has_validators(field: Field) -> bool:
    """Return whether a field's annotation may refuse values that `Field` allows."""
    return field.annotation is not None and any(map(_validates, _metadata(field.annotation)))


def is_described(kind: Any) -> bool:
    """Return whether pydantic knows what the values of a type are, be it pydantic's own or not."""
    return _is_of_pydantic(kind) or hasattr(kind, "__get_pydantic_core_schema__")


def maker_for(field: Field, model: Any) -> Callable[[], Any]:
    """Return what makes values for a field, drawn from ``factory.random.randgen``. Never ``None``.

    Args:
        field: The field, as an adapter tells it.
        model: The model that it belongs to. If that is a pydantic model, the values are what its
            constructor takes; or else, which validates nothing, what pydantic makes of that.

    Raises:
        ConfigurationError: When polyfactory is not installed. What is returned raises it where no
            value is found.
    """
    try:
        from async_factory_boy.auto._polyfactory import Maker
    except ImportError:
        raise ConfigurationError(
            field.name,
            f"has constraints that factory_boy's declarations cannot express: {named(field)}. "
            "polyfactory, which makes values for those, is not installed. Install it with: "
            "pip install 'async-factory-boy[auto]'; or declare the field in the factory.",
            owner=name_of(model),
        ) from None
    return Maker(field, model)


def named(field: Field) -> str:
    """Return the constraints of a field that are not those of its type, as they are written."""
    words = [_word(one) for one in _metadata(field.annotation)]
    if not words:
        words = [f"pattern={field.pattern!r}"] if field.pattern else [str(field.annotation)]
    return ", ".join(dict.fromkeys(words))


def _word(metadata: Any) -> str:
    function = getattr(metadata, "func", None)
    if function is not None:
        return f"{type(metadata).__name__}({getattr(function, '__qualname__', function)})"
    # pydantic has a class of its own for what annotated_types has no class for.
    return re.sub(r"^_PydanticGeneralMetadata\((.*)\)$", r"\1", repr(metadata))


def _is_of_pydantic(kind: Any) -> bool:
    return isinstance(kind, type) and kind.__module__.partition(".")[0].startswith("pydantic")


def _metadata(annotation: Any) -> list[Any]:
    """Return all metadata of an annotation, also of what it consists of."""
    found: list[Any] = list(flattened(getattr(annotation, "__metadata__", ())))
    if hasattr(annotation, "__metadata__"):
        found += _metadata(annotation.__origin__)
    elif hasattr(annotation, "__supertype__"):
        found += _metadata(annotation.__supertype__)
    elif typing.get_origin(annotation) is not typing.Literal:
        for one in typing.get_args(annotation):
            found += _metadata(one)
    return found


# Of what pydantic calls when it validates, that which `Field` has words for, or which takes
# nothing away.
_HARMLESS = (
    "AllowInfNan", "FieldInfo", "IndexedAnnotation", "PlainSerializer", "SkipValidation", "Strict",
    "WithJsonSchema", "WrapSerializer", "_PydanticGeneralMetadata",
)  # fmt: skip


def _validates(metadata: Any) -> bool:
    """Tell whether a part of an annotation may refuse values that `Field` allows."""
    if type(metadata).__name__ in _HARMLESS:
        return False
    if type(metadata).__name__ == "UuidVersion":
        return bool(metadata.uuid_version != 4)  # uuid.uuid4() is what is made of a UUID
    # annotated_types has Predicate, and pydantic a method for all that is its own.
    own = hasattr(metadata, "func") or hasattr(metadata, "__get_pydantic_core_schema__")
    return own or metadata is getattr(sys.modules.get("pydantic"), "Json", None)
