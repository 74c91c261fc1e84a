"""What an adapter is configured with: names of fields, and what it stores through."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from async_factory_boy.exceptions import (
    ConfigurationError,
    MissingOptionError,
    shown,
    similar,
)

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True


def fields_option(
    name: str, value: object, *, owner: str, example: str = "email"
) -> tuple[str, ...]:
    """Return `value`, an option that takes names of fields, as a tuple.

    Args:
        name: The option.
        value: What it was given.
        owner: The class it was given to.
        example: A name that it could take.

    Raises:
        ConfigurationError: When it is anything but a sequence of strings.
    """
    if isinstance(value, str):
        raise ConfigurationError(
            name, f"takes a sequence of field names; write ({value!r},).", owner=owner
        )
    if not isinstance(value, Sequence | set | frozenset) or not all(
        isinstance(field, str) for field in value
    ):
        raise ConfigurationError(
            name,
            f'takes a sequence of field names, such as ("{example}",); got {shown(value)}.',
            owner=owner,
        )
    return tuple(value)


def check_names(
    option: str,
    names: Iterable[str],
    known: Collection[str],
    *,
    owner: str,
    model: object,
    what: str = "field",
) -> None:
    """Raise ConfigurationError if an option names what a model does not have.

    Args:
        option: The option.
        names: What it names.
        known: What the model has, by its names.
        owner: The class that the option was given to.
        model: The model, by its name in the error.
        what: What the names are names of.
    """
    for name in names:
        if name not in known:
            every = sorted(known)
            subject = getattr(model, "__name__", None) or str(model)
            raise ConfigurationError(
                option,
                f"names {name!r}, which is not a {what} of {subject}.{similar(name, every)} It "
                f"has: {', '.join(every) or 'none'}.",
                owner=owner,
            )


def configured(
    fallback: Any,
    *,
    is_value: Callable[[Any], bool],
    check: Callable[[Any], object],
    missing: str,
) -> Any:
    """Return what to store through where neither the call nor `bind` gave anything.

    Args:
        fallback: What the adapter was configured with: a value, or a callable that returns one.
        is_value: Whether it is a value. Otherwise it is called.
        check: Raises if what the callable has returned is of no use.
        missing: The message where there is none.

    Raises:
        MissingOptionError: When there is none.
        Exception: What `check` raises.
    """
    if fallback is None:
        raise MissingOptionError(missing)
    if is_value(fallback):
        return fallback
    value = fallback()
    check(value)
    return value
