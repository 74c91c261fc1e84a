"""Options that name fields of a model."""

from __future__ import annotations

from collections.abc import Sequence

from async_factory_boy.exceptions import ConfigurationError, shown

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
