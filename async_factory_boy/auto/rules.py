"""The rules by which a declaration is chosen for a field, in their order.

1. A rule of the user's for the field of the model, for its name, for its type; of two for the
   same, the newer.
2. The values that are allowed: choices, the members of an enum.
3. A pattern, or a validator in an annotation: what polyfactory makes of it.
4. The name, where the table has it for the type: `names`.
5. The type and its constraints: `types`.

A type that none of these knows is an error, and never a guess.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sized
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fnmatch import fnmatchcase
from typing import Any, NamedTuple, TypeVar, overload
from uuid import UUID

from factory import declarations
from factory.declarations import BaseDeclaration

from async_factory_boy.adapters.fields import Field
from async_factory_boy.auto import types
from async_factory_boy.auto.chosen import Choice, name_of
from async_factory_boy.auto.pydantic_values import has_validators
from async_factory_boy.exceptions import ConfigurationError

RULES = "async_factory_boy.auto"
"""Who owns what is wrong with a rule, for errors."""

Function = Callable[[Field], Any]
F = TypeVar("F", bound=Function)

_by_field: dict[tuple[Any, str], Any] = {}
_by_name: dict[str, Any] = {}
_by_type: dict[Any, Any] = {}
_callbacks: list[Callable[[], None]] = []


@overload
def rule(for_: Any, declaration_or_function: None = None) -> Callable[[F], F]: ...


@overload
def rule(for_: Any, declaration_or_function: Any) -> None: ...


def rule(for_: Any, declaration_or_function: Any = None) -> Any:
    """Say what is declared for fields, in place of what would be chosen.

    ```python
    with rules_kept():
        rule("*_iban", factory.Faker("iban"))
        rule((User, "email"), factory.Sequence(lambda n: f"{n}@example.org"))

        @rule(bytes)
        def picture(field):
            return factory.LazyFunction(lambda: b"PNG"[: field.max_length])
    ```

    A rule for a field itself has it filled though it has a default, or takes None: as a declaration
    in each factory of the model would. Rules for names and types are for what is filled anyway.

    Args:
        for_: One of a type, which stands for those derived from it as well, and may be the store's
            own, as a ``TypeDecorator`` is, or a class of fields; a name, or a pattern of names,
            ``"*_slug"``; a model and the name of its field, ``(User, "email")``, or the field as
            ORMs have it, ``User.email``: what has a model in ``class_``, ``table`` or
            ``field.model``, and a name beside it.
        declaration_or_function: The declaration; or a function, which is called with the `Field`
            and returns one. If not given, a function is decorated.
    """
    if declaration_or_function is None:

        def decorate(function: F) -> F:
            rule(for_, function)
            return function

        return decorate
    _check(for_, declaration_or_function)
    table, key = _place(for_)
    table.pop(key, None)
    table[key] = declaration_or_function
    _changed()
    return None


@contextmanager
def rules_kept() -> Generator[None]:
    """Forget, at the end of a ``with`` block, the rules that were registered in it."""
    tables: list[dict[Any, Any]] = [_by_field, _by_name, _by_type]
    before = [dict(table) for table in tables]
    try:
        yield
    finally:
        for table, rules in zip(tables, before, strict=True):
            table.clear()
            table.update(rules)
        _changed()


def on_change(callback: Callable[[], None]) -> None:
    """Call a function whenever rules change: what was chosen before may no longer be right."""
    _callbacks.append(callback)


def _changed() -> None:
    for callback in _callbacks:
        callback()


def _shown(for_: Any) -> str:
    if isinstance(for_, tuple) and len(for_) == 2:
        return f"({name_of(for_[0])}, {for_[1]!r})"
    return for_.__name__ if isinstance(for_, type) else repr(for_)


def _error(for_: Any, problem: str) -> ConfigurationError:
    return ConfigurationError(f"rule({_shown(for_)})", problem, owner=RULES)


_AFTER = (
    declarations.PostGeneration,
    declarations.PostGenerationMethodCall,
    declarations.RelatedFactory,
)


def _has_value(value: object) -> bool:
    return isinstance(value, BaseDeclaration) and not isinstance(value, _AFTER)


def _check(for_: Any, value: Any) -> None:
    if _has_value(value) or (callable(value) and not isinstance(value, type)):
        return
    raise _error(
        for_,
        "takes a declaration that has a value, or a function that returns one; got "
        f"{value!r}. For a plain value write factory.LazyFunction(lambda: ...).",
    )


def _place(for_: Any) -> tuple[dict[Any, Any], Any]:
    """Return the table that a rule belongs to, and its key there."""
    if type(for_) is str and for_:
        return _by_name, for_
    if isinstance(for_, type):
        return _by_type, for_
    if isinstance(for_, tuple):
        if len(for_) == 2 and type(for_[1]) is str and not isinstance(for_[0], str):
            return _by_field, for_
    else:
        of = getattr(for_, "field", None)  # Django's
        meta = getattr(for_, "_meta", None)  # Piccolo's
        for holder, model, name in (
            (for_, "class_", "key"), (for_, "table", "key"), (of, "model", "name"),
            (meta, "table", "name"),
        ):  # fmt: skip
            owner, key = getattr(holder, model, None), getattr(holder, name, None)
            if owner is not None and isinstance(key, str):
                return _by_field, (owner, str(key))
    raise _error(
        for_,
        "is for none of a type, a pattern of names, and a field. Write a class, a text such as "
        '"*_slug", or a model and the name of its field: (User, "email").',
    )


def choose(field: Field, model: Any, *, unique: bool | None = None) -> Choice:
    """Choose a declaration for a field that is not a relation.

    Args:
        field: The field.
        model: The model that has it.
        unique: Whether no two objects may have the same value. If not given, the field says so;
            `uniques.carriers` says which fields of a set are to be unique in addition.
    """
    if field.relation is not None:
        raise TypeError(f"{field.name!r} is a relation, which no rule of a value is for.")
    if unique is None:
        unique = frozenset({field.name}) in field.unique
    of_user = ruled(field, model)
    if of_user is not None:
        return of_user
    types.refuse_contradictions(field, model)
    found = types.by_members(field, model, unique)
    if found is None and (field.pattern is not None or has_validators(field)):
        found = types.by_annotation(field, model, unique)
    if found is None:
        found = types.by_name(field, model, unique)
    if found is None:
        found = types.by_type(field, model, unique, choose)
    return found


# The user's rules.


class Rule(NamedTuple):
    """A rule of the user's that is for a field."""

    words: str
    """What explains it, and errors call it."""
    for_: Any
    """What it was registered for."""
    declared: Any
    """The declaration, or the function that returns one."""
    is_general: bool
    """Whether it is for fields that its author has not seen, by their name or Python's type."""


def rule_for(field: Field, model: Any) -> Rule | None:
    """Return the user's rule that counts for a field, if there is one."""
    alone = _of_field(field, model)
    if alone is not None:
        for_, value = alone
        return Rule(f"your rule for {name_of(for_[0])}.{for_[1]}", for_, value, False)
    for pattern, value in reversed(_by_name.items()):
        if fnmatchcase(field.name, pattern):
            return Rule(f"your rule for the name {pattern}", pattern, value, True)
    kinds = [field.type]
    if field.store_type is not None:
        kinds.insert(0, _class_of(field.store_type))
    for kind in kinds:
        for base in getattr(kind, "__mro__", (kind,)):
            if _is_known(base):
                words = f"your rule for {_shown(base)}"
                return Rule(words, base, _by_type[base], kind is field.type)
    return None


def _class_of(store_type: Any) -> Any:
    return store_type if isinstance(store_type, type) else type(store_type)


def ruled(field: Field, model: Any) -> Choice | None:
    """Return what a rule of the user's says for a field, if there is one."""
    found = rule_for(field, model)
    if found is None:
        return None
    declaration = found.declared
    if not _has_value(declaration):
        declaration = declaration(field)
        if not _has_value(declaration):
            raise _error(
                found.for_, f"returned {declaration!r} for {field.name!r}, which is not a "
                "declaration. For a plain value return factory.LazyFunction(lambda: ...).",
            )  # fmt: skip
    return Choice(declaration, found.words)


def ruled_alone(field: Field, model: Any) -> bool:
    """Tell whether there is a rule of the user's for this very field, and not only for its kind."""
    return _of_field(field, model) is not None


def _of_field(field: Field, model: Any) -> tuple[tuple[Any, str], Any] | None:
    for owner in getattr(model, "__mro__", (model,)):
        for (of, name), value in _by_field.items():
            if name == field.name and of is owner:
                return (of, name), value
    return None


def rules_of(model: Any) -> list[tuple[Any, str]]:
    """Return the fields of a model, and of its bases, that the user has rules for."""
    owners = getattr(model, "__mro__", (model,))
    return [(of, name) for of, name in _by_field if any(of is owner for owner in owners)]


def _is_known(kind: Any) -> bool:
    return isinstance(kind, type) and kind in _by_type


_COMPARED = (
    str, int, float, Decimal, bool, bytes, date, datetime, time, timedelta, UUID, list, dict,
)  # fmt: skip
_ALSO: dict[Any, tuple[type, ...]] = {float: (int,), Decimal: (int,)}


def misfit(field: Field, value: Any) -> str:
    """Return what is wrong with a value for a field: its type, or its length. Empty if nothing."""
    kind = type(value)
    if value is None and field.nullable:
        return ""
    wanted = field.type
    if wanted in _COMPARED or (isinstance(wanted, type) and issubclass(wanted, Enum)):
        fits = isinstance(value, (wanted, *_ALSO.get(wanted, ())))
        if kind is bool or kind is datetime:  # which are an int and a date as well
            fits = wanted is kind
        if not fits and value not in field.choices:
            given = "None" if value is None else kind.__name__
            return f"takes {wanted.__name__}, and was given {given}"
    longest = field.max_length
    if longest is not None and isinstance(value, Sized) and len(value) > longest:
        return f"has a length of at most {longest}, and was given one of {len(value)}"
    return ""
