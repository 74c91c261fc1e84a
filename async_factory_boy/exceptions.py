"""The errors of the library.

Every one derives from factory_boy's ``FactoryError`` and from the builtin that fits, and each
message says what to write instead. What a database or an ORM raises is never wrapped in one of
these: it reaches the caller untouched.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

from factory.errors import FactoryError, UnknownStrategy

__all__ = [
    "AbstractFactoryError",
    "AdapterError",
    "AsyncFactoryError",
    "BatchSizeError",
    "ConfigurationError",
    "FixtureError",
    "LeftOutError",
    "MissingOptionError",
    "MultipleFoundError",
    "OptionError",
    "SyncCallError",
    "UnknownStrategyError",
]


class AsyncFactoryError(FactoryError):
    """Base of the errors raised by async-factory-boy."""


class SyncCallError(AsyncFactoryError, RuntimeError):
    """Something that has to wait for the event loop was called where nothing can wait.

    ``UserFactory.create()`` outside of a hook, or ``UserFactory.build()`` of a factory that
    has an async declaration.
    """


class MissingOptionError(AsyncFactoryError, RuntimeError):
    """A call-time option that the adapter needs (a session, say) was given nowhere."""


class OptionError(AsyncFactoryError, TypeError):
    """A call-time option is unknown, or its value is not one the adapter can use."""


class AbstractFactoryError(AsyncFactoryError, TypeError):
    """An object was asked of a factory that is abstract, or has no ``Meta.model``."""


class BatchSizeError(AsyncFactoryError, ValueError):
    """The size of a batch is negative, or not an integer."""


class AdapterError(AsyncFactoryError, TypeError):
    """An adapter broke the protocol, or lacks a capability that a factory asks of it."""


class MultipleFoundError(AsyncFactoryError, LookupError):
    """Several stored objects have the values that ``get_or_create`` looks one up by.

    Args:
        model: The class of the objects.
        names: The fields that they were looked up by.
    """

    def __init__(self, model: object, names: Iterable[str]) -> None:
        name = getattr(model, "__name__", None) or getattr(model, "name", None) or repr(model)
        super().__init__(
            f"get_or_create looks for one {name} by {', '.join(map(repr, names))}, and several "
            "have these values. Name fields in get_or_create whose values are unique together; or "
            "remove all but one of them."
        )


class FixtureError(AsyncFactoryError, TypeError):
    """No pytest fixture can be made of what `register` was given, or a test asks it for too much.

    See `async_factory_boy.pytest_plugin`.
    """


class LeftOutError(AsyncFactoryError, AttributeError):
    """A declaration reads a relation that is left out, since its foreign key is given."""


class ConfigurationError(AsyncFactoryError, TypeError):
    """A factory, its ``Meta``, or an adapter's constructor was given something it cannot use.

    Args:
        option: The option or declaration, as the reader spells it (``"persistence"``).
        problem: What is wrong with it, and what to write instead.
        owner: The class the option was given to (``"UserFactory.Meta"``).
    """

    def __init__(self, option: str, problem: str, *, owner: str) -> None:
        super().__init__(f"{owner}.{option} {problem}")
        self.option = option
        self.problem = problem
        self.owner = owner


class UnknownStrategyError(ConfigurationError, UnknownStrategy):
    """A strategy is none of ``"build"``, ``"create"`` and ``"stub"``."""


# What stands between the user and the host of a URL.
_PASSWORD = re.compile(r"(://[^:/@\s'\"]*:)[^@/\s'\"]*@")


def shown(value: object) -> str:
    """Return what an error shows of a value: its ``repr()``, without the password of a URL."""
    return _PASSWORD.sub(r"\1***@", repr(value))


def closest(word: str, known: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` for the known words nearest to `word`, or nothing.

    Nearest are those that lack nothing but a prefix: ``session``, ``sqlalchemy_session``.
    """
    known = sorted(known)
    return _suggestion([one for one in known if one.endswith(f"_{word}")]) or similar(word, known)


def similar(word: str, known: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` for the known word that `word` may be misspelt for."""
    return _suggestion(difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.75))


def _suggestion(words: Sequence[str]) -> str:
    if not words:
        return ""
    *others, last = map(repr, words)
    return f" Did you mean {', '.join(others)}{' or ' if others else ''}{last}?"
