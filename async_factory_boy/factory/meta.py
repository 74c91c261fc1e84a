"""The ``Meta`` options of a factory, and the adapter that they lead to."""

from __future__ import annotations

import functools
import inspect
import sys
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any, ClassVar, get_args, get_origin, is_typeddict

from factory.base import Factory

from async_factory_boy import engine
from async_factory_boy.adapters import Field, PersistenceAdapter
from async_factory_boy.adapters.base import check_capable
from async_factory_boy.adapters.registry import (
    by_name,
    candidates,
    configured,
    dedicated_factory,
)
from async_factory_boy.auto.chosen import name_of
from async_factory_boy.exceptions import (
    AdapterError,
    ConfigurationError,
    MissingOptionError,
    SyncCallError,
    closest,
    shown,
)
from async_factory_boy.factory import automatic
from async_factory_boy.factory.upstream import BaseFactory, Options, declares_value

if TYPE_CHECKING:
    from async_factory_boy.factory.base import AsyncFactory
    from async_factory_boy.factory.calls import Call

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

_UNSET: Any = type("_Unset", (), {"__repr__": lambda self: "<unset>"})()


Constructor = Callable[[Sequence[Any], Mapping[str, Any]], Any]

_own_hooks: defaultdict[str, set[Any]] = defaultdict(set)


def note_own_hooks(factory: type, names: Iterable[str]) -> None:
    """Note that hooks which a base class has are not the user's."""
    for name in names:
        _own_hooks[name].add(_function(getattr(factory, name)))


def is_overridden(factory: Any, name: str) -> bool:
    """Return whether a factory has a hook that is not one of its base classes of this library."""
    return _function(getattr(factory, name)) not in _own_hooks[name]


def original_hook(factory: Any, name: str) -> Callable[..., Any]:
    """Return a hook as it was written: what is async in it has to be awaited."""
    method: Callable[..., Any] = getattr(factory, name)
    original = getattr(_function(method), "original", None)
    return method if original is None else original.__get__(None, factory)


def _function(method: Any) -> Any:
    return getattr(method, "__func__", method)


class AsyncFactoryOptions(Options):
    """The ``Meta`` options of an `AsyncFactory`: those of factory_boy, and ``adapter``.

    A dedicated factory subclasses it with the adapter class of its store, and the ``Meta`` options
    that are passed to the adapter's constructor.
    """

    adapter_class: ClassVar[type[PersistenceAdapter[Any]] | None] = None
    """The adapter of a factory that sets no ``Meta.adapter``; ``None`` to infer it."""

    adapter_options: ClassVar[dict[str, str]] = {}
    """``Meta`` options that configure the adapter, each with its name in the constructor."""

    instance_class: ClassVar[type | None] = None
    """What objects are of where the model is no class; for a type argument."""

    # What is filled in later.
    factory: type[AsyncFactory[Any]]
    adapter: object
    auto_declarations: automatic.Option
    batch_size: int

    _adapter: PersistenceAdapter[Any] | None = None
    _written_at: dict[str, Any]

    def further_options(self) -> dict[str, Any]:
        return {
            "adapter": None,
            "auto_declarations": False,
            "batch_size": 1000,
            **dict.fromkeys(self.adapter_options, _UNSET),
        }

    def check_options(self, given: Iterable[str], known: set[str]) -> None:
        for name in given:
            if name not in known:
                raise ConfigurationError(
                    name,
                    f"is not an option.{closest(name, known) or _of_another(name, known)} "
                    f"Known options: {', '.join(sorted(known))}.",
                    owner=f"{self.factory.__name__}.Meta",
                )

    def take_options(self, given: Iterable[str]) -> None:
        self._own_options = frozenset(given)
        if type(self.batch_size) is not int or self.batch_size < 1:
            raise ConfigurationError(
                "batch_size",
                f"has to be a positive integer; got {self.batch_size!r}.",
                owner=f"{self.factory.__name__}.Meta",
            )
        self.auto_declarations = automatic.checked(
            self.auto_declarations, owner=f"{self.factory.__name__}.Meta"
        )
        argument = model_argument(self.factory)
        if argument is None:
            return
        if "model" not in self._own_options:
            self.model = argument
        elif not _is_of(self.model, argument):
            raise ConfigurationError(
                "model",
                f"is {self.model.__name__}, but the type argument of {self.factory.__name__} is "
                f"{argument.__name__}. Leave Meta.model out, or write the same class in both.",
                owner=f"{self.factory.__name__}.Meta",
            )

    def complete(self) -> None:
        self._written_at = _place_of_caller()
        self._adapter = self._configured_adapter()
        automatic.note_factory(self.factory)

    def _configured_adapter(self) -> PersistenceAdapter[Any] | None:
        given = self.adapter
        keywords = {
            keyword: getattr(self, name)
            for name, keyword in self.adapter_options.items()
            if getattr(self, name) is not _UNSET
        }
        owner = f"{self.factory.__name__}.Meta"
        try:
            if isinstance(given, str):
                given = by_name(given)
            elif given is None:
                given = self.adapter_class
            if isinstance(given, type) and issubclass(given, PersistenceAdapter):
                return configured(given, **keywords)
        except ConfigurationError as error:
            raise self._in_words_of_meta(error) from error.__cause__
        if given is None:
            return None
        if not isinstance(given, PersistenceAdapter):
            raise ConfigurationError(
                "adapter",
                "takes an instance of a PersistenceAdapter, its class, or its registered name; "
                f"got {shown(given)}.",
                owner=owner,
            )
        for name in self._own_options & self.adapter_options.keys():
            raise ConfigurationError(
                name,
                "has no effect on the instance given as Meta.adapter; give the option to the "
                "adapter's constructor instead.",
                owner=owner,
            )
        return given

    def _in_words_of_meta(self, error: ConfigurationError) -> ConfigurationError:
        """Return an adapter's complaint about its options, as one about those of ``Meta``."""
        spelt = {keyword: name for name, keyword in self.adapter_options.items()}
        if error.option != "adapter" and error.option not in spelt:
            return error  # of an adapter that was configured elsewhere
        return ConfigurationError(
            spelt.get(error.option, error.option),
            error.problem,
            owner=f"{self.factory.__name__}.Meta",
        )

    def adapter_for_storing(self) -> PersistenceAdapter[Any]:
        """Return the adapter that stores what this factory creates.

        Raises:
            ConfigurationError: When none is configured, and none can be inferred from the model.
        """
        if self._adapter is not None:
            return self._adapter
        name = self.factory.__name__
        for adapter, instead in candidates(self.model):
            # Attributed to where the factory is written, which is the place to change: the caller
            # of create_async() is out of sight in a build, and may be another factory.
            warnings.warn_explicit(
                f"{name} sets no Meta.adapter; {type(adapter).__name__} is inferred from its "
                f"model. {instead}",
                DeprecationWarning,
                **self._written_at,
            )
            return adapter
        raise ConfigurationError(
            "adapter",
            f"is not set, and none of the known adapters is for the model {self.model!r}. Set it "
            "to the adapter that stores this model, or subclass the dedicated factory of your "
            "ORM, such as async_factory_boy.factory.sqlalchemy.AsyncSQLAlchemyModelFactory."
            f"{self._model_hint()}",
            owner=f"{name}.Meta",
        )

    def likely_adapter(self, model: Any) -> PersistenceAdapter[Any] | None:
        """Return the adapter for objects of a model, without a warning where it is inferred."""
        return self._adapter or next((one for one, _ in candidates(model)), None)

    def relations(self) -> Mapping[str, Mapping[str, str]]:
        """Return the relations of the model that are stored as keys in attributes of its own.

        Returns:
            For each, the names of its keys, with the attributes of the related object that these
            are equal to. Relations and keys are called as declarations call them: what
            ``Meta.rename`` renames, by its old name.

        Raises:
            AdapterError: When the adapter returns something else.
        """
        model = self.get_model_class()
        if model is None or isinstance(model, str):
            return {}
        adapter = self.likely_adapter(model)
        if adapter is None or type(adapter).keys_of is PersistenceAdapter.keys_of:
            return {}
        relations: Mapping[str, Mapping[str, str]] = adapter.keys_of(model)
        if not isinstance(relations, Mapping) or not all(
            isinstance(keys, Mapping) for keys in relations.values()
        ):
            raise AdapterError(
                f"{type(adapter).__name__}.keys_of() returned {shown(relations)}; it has to return "
                "a mapping of relations, with a mapping of the keys of each: "
                '{"company": {"company_id": "id"}}.'
            )
        if not self.rename:
            return relations
        spelt = {new: old for old, new in self.rename.items()}
        return {
            spelt.get(relation, relation): {
                spelt.get(key, key): remote for key, remote in keys.items()
            }
            for relation, keys in relations.items()
        }

    def automatic_declarations(self) -> Mapping[str, Any]:
        if self.auto_declarations is False or self.model is None:
            return {}
        return automatic.chosen(self).by_name

    def fields(self, model: Any) -> Sequence[Field]:
        """Return what the fields of a model are that this factory, or a part of it, makes.

        Raises:
            AdapterError: When no adapter can tell.
            ConfigurationError: When the model is a string that the adapter does not know.
        """
        adapter = self.likely_adapter(model)
        if adapter is None:
            if isinstance(model, str):
                raise self._no_class(model)
            raise AdapterError(
                f"{self.factory.__name__}.Meta.auto_declarations needs an adapter that can tell "
                f"what {name_of(model)} is made of; set {self.factory.__name__}.Meta.adapter, or "
                "subclass the dedicated factory of your ORM."
            )
        try:
            fields: Any = adapter.fields(model)
        except AdapterError as error:
            if isinstance(model, str):  # which some adapters may look up
                raise self._no_class(model) from error
            raise
        if not isinstance(fields, Sequence) or not all(isinstance(one, Field) for one in fields):
            raise AdapterError(
                f"{type(adapter).__name__}.fields() returned {shown(fields)}; it has to return a "
                "list of async_factory_boy.adapters.Field."
            )
        return fields

    def check_create(
        self, call: Call, adapter: PersistenceAdapter[Any], extras: Mapping[str, Any]
    ) -> None:
        """Raise, before anything is evaluated, if an object of this factory cannot be created.

        Args:
            call: The call that the object is part of.
            adapter: What is to store it.
            extras: The keywords the object was asked for with.

        Raises:
            AsyncFactoryError: What is wrong, and what to write instead.
        """
        call.check_once(self, functools.partial(self._check_adapter, adapter))
        if not adapter.get_or_create:
            return
        if is_overridden(self.factory, "_adjust_kwargs"):
            return  # it may add the fields
        for field in adapter.get_or_create:
            names = {old for old, new in self.rename.items() if new == field} | {field}
            if not any(name in extras or declares_value(self, name) for name in names):
                raise self.no_value_for(field)

    def _check_adapter(self, adapter: PersistenceAdapter[Any]) -> None:
        check_capable(adapter)
        try:
            adapter.check(self.model)
        except ConfigurationError as error:
            raise self._in_words_of_meta(error) from None
        except AdapterError as error:
            hint = self._model_hint()
            if not hint:
                raise
            raise AdapterError(f"{error}{hint}") from None
        except MissingOptionError as error:
            raise MissingOptionError(
                f"{error} (Asked for by {self.factory.__name__}.){self._missing_option_hint()}"
            ) from None

    def _model_hint(self) -> str:
        """Return what to add to the error that objects of the model cannot be stored."""
        # Not refused before an adapter is asked: some may look a model up by its name.
        if not isinstance(self.model, str):
            return ""
        return f" {self.factory.__name__}.Meta.model is a string; give it the class itself."

    def _missing_option_hint(self) -> str:
        """Return what to add to the error that a call-time option was given nowhere."""
        return ""

    def no_value_for(self, field: str) -> ConfigurationError:
        """Return the error that a field of ``get_or_create`` has no value."""
        name = next(
            (name for name, keyword in self.adapter_options.items() if keyword == "get_or_create"),
            "adapter",
        )
        return ConfigurationError(
            name,
            f"looks objects up by {field!r}, but {self.factory.__name__} gives that field no "
            f"value; declare it in the factory, or pass {field}=... to the call.",
            owner=f"{self.factory.__name__}.Meta",
        )

    def lookup(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return the fields of ``get_or_create`` with their values; empty if it is not used.

        Args:
            args: The positional arguments of the model, as ``Meta.inline_args`` names them.
            kwargs: The keyword arguments of the model.

        Raises:
            ConfigurationError: When one of the fields has no value.
        """
        adapter = self.adapter_for_storing()
        if not adapter.get_or_create:
            return {}
        values = {**dict(zip(self.inline_args, args, strict=False)), **kwargs}
        lookup = {}
        for field in adapter.get_or_create:
            # In place of a relation that is left out, its keys.
            names = [field] if field in values else list(adapter.keys_of(self.model).get(field, ()))
            if not names or not all(name in values for name in names):
                raise self.no_value_for(field)
            lookup.update({name: values[name] for name in names})
        return lookup

    def first_number(self, factory: Any) -> int:
        number: Any = super().first_number(factory)
        if inspect.isawaitable(number):
            if engine.in_fiber():
                number = engine.wait(number)
            else:
                if inspect.iscoroutine(number):
                    number.close()
                raise SyncCallError(
                    f"{factory.__name__}._setup_next_sequence is async, and cannot be awaited "
                    f"here; write await {factory.__name__}.create_async(...) or build_async(...), "
                    f"or {factory.__name__}.reset_sequence(value) before."
                )
        first: int = number
        return first

    def awaited(self, name: str, value: Any) -> Any:
        if not inspect.iscoroutine(value):
            return value
        if engine.in_fiber():
            return engine.wait(value)
        value.close()
        factory = self.factory.__name__
        raise SyncCallError(
            f"{factory}.{name} is async, and cannot be awaited here; write "
            f"await {factory}.build_async(...)."
        )

    def model_to_construct(self) -> Any:
        """Return what objects are made of, once an object is asked for.

        For dedicated factories to override, whose models may be given by name.
        """
        return self.get_model_class()

    def constructor(self, model: Any, *, stores: bool) -> Constructor:
        """Return what makes an object of positional and keyword arguments.

        Args:
            model: What `model_to_construct` has returned.
            stores: Whether the object is to be stored.
        """
        if isinstance(model, str):
            return functools.partial(self._constructed_by_name, model)
        adapter = self.adapter_for_storing() if stores else self._adapter
        if adapter is None or type(adapter).build is PersistenceAdapter.build:
            return lambda args, kwargs: model(*args, **kwargs)
        return functools.partial(adapter.build, model)

    def _constructed_by_name(
        self, model: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        if self._adapter is not None:
            try:
                return self._adapter.build(model, args, kwargs)  # which may look it up
            except TypeError as error:
                raise self._no_class(model) from error
        raise self._no_class(model)

    def _no_class(self, model: str) -> ConfigurationError:
        return ConfigurationError(
            "model",
            f"is {model!r}, a string; give it the class itself.",
            owner=f"{self.factory.__name__}.Meta",
        )


def model_argument(factory: type) -> Any:
    """Return the class that a factory has as its type argument, or ``None``.

    It is found through generic bases too: ``class ProjectFactory(AnyProjectFactory[Project])``.
    """
    for alias in vars(factory).get("__orig_bases__", ()):
        argument = _argument_of(alias)
        # A collection's document may be declared as dict[str, Any].
        argument = get_origin(argument) or argument
        if isinstance(argument, type) and argument is not Any:
            return argument
    return None


def _argument_of(alias: Any) -> Any:
    """Return what stands for the model of a base class, which may be a type variable."""
    origin, arguments = get_origin(alias), get_args(alias)
    if not (isinstance(origin, type) and issubclass(origin, BaseFactory)):
        return None
    parameters = getattr(origin, "__parameters__", ())
    given = dict(zip(parameters, arguments, strict=False))
    if origin is Factory or origin is BaseFactory:
        return next(iter(given.values()), None)
    for below in vars(origin).get("__orig_bases__", ()):
        argument = _argument_of(below)
        if argument is not None:
            return given.get(argument, argument)
    return None


def _is_of(model: object, argument: type) -> bool:
    """Return whether a factory may have a model, and a type argument."""
    if not isinstance(model, type):
        return True  # a table, or the name of a model
    if is_typeddict(argument):
        return issubclass(model, dict)
    try:
        return issubclass(model, argument)
    except TypeError:  # a protocol that is not for run time
        return True


def _place_of_caller() -> dict[str, Any]:
    """Return what `warnings` calls the line that has called factory_boy, or this library."""
    frame = sys._getframe(1)
    while frame.f_back is not None and _top_level(frame) in ("factory", "async_factory_boy"):
        frame = frame.f_back
    return {
        "filename": frame.f_code.co_filename,
        "lineno": frame.f_lineno,
        "module": frame.f_globals.get("__name__"),
    }


def _top_level(frame: FrameType) -> str:
    name: str = frame.f_globals.get("__name__", "")
    return name.partition(".")[0]


def _of_another(option: str, known: Iterable[str]) -> str:
    """Return which factory has options that begin like `option`, if this one has none."""
    prefix = option.partition("_")[0]
    factory = dedicated_factory(option)
    if not factory or any(name.startswith(f"{prefix}_") for name in known):
        return ""
    return (
        f" Those that begin with {prefix}_ belong to {factory}: derive from that, or give the "
        "option to the constructor of the adapter that is set as Meta.adapter."
    )
