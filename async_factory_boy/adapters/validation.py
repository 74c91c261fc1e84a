"""What is wrong with an adapter class, told when it is defined, or first used."""

from __future__ import annotations

import inspect

from async_factory_boy.exceptions import AdapterError

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True


# How the factories call the methods, besides `self`; and which of them they await.
_PARAMETERS = {
    "save": ["instance"],
    "save_many": ["instances"],
    "find": ["model", "lookup"],
    "find_many": ["model", "lookups"],
    "find_afresh": ["model", "lookup"],
    "save_new": ["build"],
    "commit": [],
    "concerns": ["error", "model"],
    "takes": ["model", "name"],
    "keys_of": ["model"],
    "fields": ["model"],
    "flush": [],
    "postpones": ["model", "names"],
    "add": ["instances"],
    "refresh": ["instances"],
    "handles": ["model"],
    "check": ["model"],
    "ambient_options": ["model"],
    "build": ["model", "args", "kwargs"],
    "connection_key": ["model"],
    "primary_key": ["instance"],
    "undo": ["model"],
    "listen": ["heard"],
}
_ENTERED = {"undo"}
_IS_GENERATOR = "is a generator, and has to return an async context manager"
_NOT_AWAITED = {
    "add", "ambient_options", "build", "check", "concerns", "connection_key", "fields",
    "handles", "keys_of", "listen", "postpones", "primary_key", "takes", *_ENTERED,
}  # fmt: skip


def check_methods(adapter: type, protocol: type) -> None:
    """Raise AdapterError for a method that could not be called as the protocol has it."""
    for name, parameters in _PARAMETERS.items():
        method = inspect.getattr_static(adapter, name)
        if method is vars(protocol).get(name):
            continue
        problem = _problem(name, method)
        if problem is not None:
            kind = "" if name in _NOT_AWAITED else "async "
            first = "self"
            if problem is _IS_GENERATOR:
                kind = "@contextlib.asynccontextmanager async "
            if name == "handles":
                kind, first = "@classmethod ", "cls"
            raise AdapterError(
                f"{adapter.__name__}.{name}() {problem}; write "
                f"{kind}def {name}({', '.join([first, *parameters])})."
            )


def _problem(name: str, method: object) -> str | None:
    function = getattr(method, "__func__", method)
    if not inspect.isfunction(function):
        return None  # what it does cannot be told without calling it
    is_async = inspect.iscoroutinefunction(function)
    if name in _ENTERED and inspect.isasyncgenfunction(function):
        return _IS_GENERATOR
    if name in _NOT_AWAITED:
        if is_async or inspect.isasyncgenfunction(function):
            return "is never awaited, so it cannot be async, or do I/O"
    elif not is_async and not inspect.iscoroutinefunction(inspect.unwrap(function)):
        return (
            "has to be a coroutine function, which may await asyncio.to_thread(...) for what blocks"
        )
    if name == "handles" and function is method:
        return "is asked of the class, so it has to be a class method"
    first = [] if isinstance(method, staticmethod) else [None]
    try:
        inspect.signature(function).bind(*first, *_PARAMETERS[name])
    except TypeError:
        return f"cannot be called with ({', '.join(_PARAMETERS[name])}), as factories do"
    return None


def check_attributes(adapter: type) -> None:
    """Raise AdapterError for an attribute that factories would take for something else."""
    fields = inspect.getattr_static(adapter, "get_or_create")
    if isinstance(fields, str):
        raise AdapterError(
            f"{adapter.__name__}.get_or_create has to be a tuple of field names; "
            f"write ({fields!r},)."
        )
    conflicts = inspect.getattr_static(adapter, "conflicts")
    if isinstance(conflicts, list | set | frozenset):
        raise AdapterError(
            f"{adapter.__name__}.conflicts has to be a tuple of exception classes, as Python's "
            f"except takes it; write ({', '.join(one.__name__ for one in conflicts)},)."
        )


def check_complete(adapter: type) -> None:
    """Raise AdapterError if `adapter` lacks a method that it cannot do without."""
    missing: frozenset[str] = getattr(adapter, "__abstractmethods__", frozenset())
    if "save" in missing:
        raise AdapterError(
            f"{adapter.__name__} has no save(), so it cannot store anything; write "
            "async def save(self, instance), which stores the object and returns it."
        )
    if missing:
        raise AdapterError(
            f"{adapter.__name__} leaves {', '.join(sorted(missing))} abstract; write them, or use "
            "a subclass that does."
        )
