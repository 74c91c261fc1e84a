"""The names that adapters are known by.

``Meta.adapter = "sqlalchemy"`` finds an adapter here. A module is imported when its name is asked
for, so that no ORM is imported that nobody uses.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Hashable, Iterator
from importlib.metadata import EntryPoint, entry_points
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from async_factory_boy.adapters.base import PersistenceAdapter
from async_factory_boy.adapters.validation import check_complete
from async_factory_boy.exceptions import ConfigurationError, closest, shown
from async_factory_boy.stores import STORES, Store, missing

__all__ = ["register"]

_GROUP = "async_factory_boy.adapters"

_Adapter = type[PersistenceAdapter[Any]] | PersistenceAdapter[Any]


class _Named(NamedTuple):
    adapter: _Adapter | EntryPoint
    """The adapter; or where it is, until somebody asks for it."""
    owner: str
    """Whom the name belongs to, as errors call it."""
    package: str = ""
    """The ORM's own package: what is not imported cannot have made a model."""
    factory: str = ""
    """The dedicated factory of the store, which an error can recommend."""


def _built_in(store: Store) -> _Named:
    module, _, name = store.adapter.rpartition(".")
    return _Named(
        EntryPoint(store.name, f"{module}:{name}", _GROUP),
        "async-factory-boy itself",
        store.package,
        store.factory,
    )


# Those of this distribution, those registered, and those of entry points that were asked for.
_named = {store.name: _built_in(store) for store in STORES}

# What ships in distributions of its own, which extras of this one install.
_EXTRAS = ("django", "piccolo")


def register(name: str, adapter: _Adapter | str) -> None:
    """Let ``Meta.adapter = "name"`` find an adapter.

    ```python
    register("lists", "acme.testing:ListAdapter")
    ```

    For the adapters of a project, say in its ``conftest.py``. A distribution rather names its
    adapter in the entry-point group ``async_factory_boy.adapters``, which needs no import; a
    registered name beats such an entry point.

    Args:
        name: Any that is not taken, such as that of the store.
        adapter: A subclass of `PersistenceAdapter`; an instance, which all factories that use the
            name then share; or ``"package.module:Adapter"``, which is imported when a factory
            first uses the name.

    Raises:
        ConfigurationError: When the name is taken, by a built-in adapter or an earlier call, or
            when `adapter` is none.
        AdapterError: When `adapter` is a class that cannot be instantiated, having no `save`.
    """
    if not isinstance(name, str) or not name:
        raise _refusal(f"takes a name for the adapter, such as 'redis'; got {name!r}")
    if name in _named:
        raise _refusal(
            f"cannot take the name {name!r} for {adapter!r}: it belongs to {_named[name].owner} "
            "already. Choose another name"
        )
    if not isinstance(adapter, str):
        if not _is_adapter(adapter):
            raise _refusal(
                "takes a subclass of PersistenceAdapter, an instance, or where to import one from, "
                f'such as "package.module:Adapter"; got {adapter!r}'
            )
        _named[name] = _Named(adapter, f"{adapter!r}, which was registered")
        return
    if not re.fullmatch(r"\w+(\.\w+)*:\w+(\.\w+)*", adapter):
        raise _refusal(
            f'imports an adapter from "package.module:Adapter"; {adapter!r} has not that form'
        )
    entry_point = EntryPoint(name, adapter, _GROUP)
    _named[name] = _Named(entry_point, f"{adapter!r}, which was registered", entry_point.module)


def by_name(name: str) -> _Adapter:
    """Return the adapter that is built in or registered as `name`, or that an entry point names.

    Raises:
        ConfigurationError: When there is none (the message lists the known names), when two
            distributions name one, or when it cannot be imported.
        AdapterError: When it is a class that cannot be instantiated.
        ImportError: When the ORM of a built-in adapter is not installed; the message names the
            extra.
    """
    named = _named.get(name) or _Named(*_installed(name))
    if not isinstance(named.adapter, EntryPoint):
        return named.adapter
    # Of ours, an ImportError says what to install.
    load = EntryPoint.load if named.factory else functools.partial(_load_foreign, named.owner)
    adapter: _Adapter = load(named.adapter)
    _named[name] = named._replace(adapter=adapter)
    return adapter


def configured(adapter: type[PersistenceAdapter[Any]], **options: Any) -> PersistenceAdapter[Any]:
    """Return an adapter of a class with certain options: one for all factories that ask for it.

    So objects of several factories of one model share a statement, and are refreshed together.

    Raises:
        ConfigurationError: When the class takes no such options.
    """
    # With their types: to Python, True and 1 are equal.
    values = {
        name: (type(value), tuple(value) if isinstance(value, list) else value)
        for name, value in options.items()
    }
    try:
        key = adapter, frozenset(values.items())
    except TypeError:  # a value that is not hashable
        return adapter(**options)
    shared = _configured.get(key)
    if shared is None:
        shared = _configured[key] = adapter(**options)
    return shared


_configured: WeakValueDictionary[Hashable, PersistenceAdapter[Any]] = WeakValueDictionary()


def candidates(model: type) -> Iterator[tuple[PersistenceAdapter[Any], str]]:
    """Yield the adapters that handle `model`, each with what to write instead of leaving it out.

    Nothing is imported for that but a built-in adapter of an ORM that is imported itself: an entry
    point takes part once its name was used.
    """
    for name in names_for(model):
        adapter, factory = by_name(name), _named[name].factory
        instead = (
            f"Subclass {factory} instead, or give it as FACTORY_CLASS to the function "
            "that makes the factory; or set Meta.adapter."
        )
        yield (
            configured(adapter) if isinstance(adapter, type) else adapter,
            instead if factory else f"Set Meta.adapter = {name!r} instead.",
        )


def names_for(model: Any) -> Iterator[str]:
    """Yield the names of the adapters that `candidates` yields."""
    for name, named in list(_named.items()):
        if isinstance(named.adapter, EntryPoint) and named.package not in sys.modules:
            continue
        if by_name(name).handles(model):
            yield name


def factory_named(adapter: str) -> str:
    """Return where the dedicated factory of a built-in adapter is; "" for another adapter."""
    named = _named.get(adapter)
    return "" if named is None else named.factory


def dedicated_factory(option: str) -> str:
    """Return where the factory is whose ``Meta`` has options that begin like `option`, or ""."""
    return factory_named(option.partition("_")[0])


def _refusal(problem: str) -> ConfigurationError:
    return ConfigurationError("register", f"{problem}.", owner="async_factory_boy.adapters")


def _complaint(problem: str) -> ConfigurationError:
    # The factory puts its name in place of the owner.
    return ConfigurationError("adapter", problem, owner="Meta")


def _is_adapter(value: object) -> bool:
    if isinstance(value, type) and issubclass(value, PersistenceAdapter):
        check_complete(value)
        return True
    return isinstance(value, PersistenceAdapter)


def _installed(name: str) -> tuple[EntryPoint, str]:
    """Return the entry point called `name`, and what to call it in errors."""
    installed = entry_points(group=_GROUP)
    found = list(installed.select(name=name))
    if not found:
        known = sorted({*_named, *installed.names})
        extra = f" {missing('It', name)}." if name in _EXTRAS else closest(name, known)
        raise _complaint(
            f"names an unknown adapter {shown(name)}.{extra} Known adapters: {', '.join(known)}."
        )
    owners = []
    for one in found:
        distribution: Any = one.dist  # set by entry_points(), though typed as optional
        owners.append(
            f"{one.value!r} of the distribution {distribution.name} {distribution.version}"
        )
    if len(found) > 1:
        raise _complaint(
            f"names {name!r}, which is more than one adapter: {', and '.join(owners)}. Uninstall "
            "all but one, or set Meta.adapter to the class you mean."
        )
    return found[0], owners[0]


def _load_foreign(owner: str, entry_point: EntryPoint) -> _Adapter:
    adapter: _Adapter
    try:
        adapter = entry_point.load()
        is_adapter = _is_adapter(adapter)
    except Exception as error:
        raise _complaint(
            f"names {entry_point.name!r}, which is {owner}; importing that failed with "
            f"{type(error).__name__}: {error}"
        ) from error
    if not is_adapter:
        raise _complaint(
            f"names {entry_point.name!r}, which is {owner}; that is {adapter!r}, and neither a "
            "subclass of PersistenceAdapter nor an instance."
        )
    return adapter
