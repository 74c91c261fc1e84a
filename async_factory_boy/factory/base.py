"""The factory class, its options, and its metaclass."""

from __future__ import annotations

import functools
import inspect
import operator
import sys
import warnings
from collections.abc import Callable, Generator, Iterable
from types import FrameType
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from factory import base, enums

from async_factory_boy import engine, observing, options
from async_factory_boy.adapters import PersistenceAdapter, by_name, candidates, dedicated_factory
from async_factory_boy.adapters.base import check_capable
from async_factory_boy.exceptions import (
    AbstractFactoryError,
    AdapterError,
    BatchSizeError,
    ConfigurationError,
    MissingOptionError,
    SyncCallError,
    UnknownStrategyError,
    closest,
)
from async_factory_boy.factory import _storing
from async_factory_boy.factory._factory_boy import (
    AsyncStepBuilder,
    AwaitingDeclarations,
    Counter,
    awaited,
)

if TYPE_CHECKING:
    from typing_extensions import Self

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

T = TypeVar("T")
C = TypeVar("C")

# What a factory may override with a coroutine function. factory_boy calls these from within its
# builder, so each is made to wait there through the engine.
_HOOKS = ("_adjust_kwargs", "_after_postgeneration", "_build", "_create", "_setup_next_sequence")


class AsyncFactoryMetaclass(base.FactoryMetaClass):
    """Makes ``await UserFactory(...)`` work, and lets the hooks of a factory be async."""

    def __new__(
        mcs, class_name: str, bases: tuple[type, ...], attrs: dict[str, Any]
    ) -> AsyncFactoryMetaclass:
        if isinstance(attrs.get("_meta"), base.FactoryOptions):
            # factory.make_factory() calls FactoryMetaClass.__new__ by name; Python then finds that
            # the bases ask for this metaclass, and enters here a second time. Meta is taken out of
            # `attrs` already, and the first call goes on to fill in `_meta`.
            new = type.__new__(mcs, class_name, bases, attrs)
        else:
            new = super().__new__(mcs, class_name, bases, attrs)
        if any(isinstance(one, AsyncFactoryMetaclass) for one in bases):
            _have_hooks_wait(new)  # those of AsyncFactory itself have nothing to wait for
        return new

    def _called(cls, **kwargs: Any) -> Any:  # noqa: N805 (a metaclass: its instances are classes)
        if engine.in_build():
            return super().__call__(**kwargs)
        factory = cast("type[AsyncFactory[Any]]", cls)
        strategy = _strategy(factory, factory._meta.strategy)
        # Not generate_async(strategy, ...): a model may have a field of that name.
        if strategy == enums.CREATE_STRATEGY:
            return factory.create_async(**kwargs)
        if strategy == enums.BUILD_STRATEGY:
            return factory.build_async(**kwargs)
        return _storing.call(functools.partial(factory.stub, **kwargs))

    if TYPE_CHECKING:
        # As if an instance were made, which is what AsyncFactory.__await__ is for.
        def __call__(cls: type[C], **kwargs: Any) -> C: ...  # noqa: N805
    else:
        __call__ = _called


def _have_hooks_wait(factory: type) -> None:
    for name in _HOOKS:
        owner = next(one for one in factory.__mro__ if name in vars(one))
        hook = vars(owner)[name]
        # A base that is no factory, a mixin for example, has not been seen to before.
        inherited = owner is not factory and (
            owner is base.BaseFactory or isinstance(owner, base.FactoryMetaClass)
        )
        if not inherited and isinstance(hook, classmethod | staticmethod):
            setattr(factory, name, classmethod(_waiting(owner.__name__, name, hook)))


def _waiting(
    owner: str, name: str, hook: classmethod[Any, Any, Any] | staticmethod[Any, Any]
) -> Callable[..., Any]:
    @functools.wraps(hook.__func__)
    def call(cls: type, *args: Any, **kwargs: Any) -> Any:
        result = hook.__get__(None, cls)(*args, **kwargs)
        if engine.in_coroutine():
            return result  # called as super()._create(...) by a hook that can await it
        instead = f"await {cls.__name__}.create_async(...) or build_async(...)"
        if name == "_setup_next_sequence":
            instead += f", or {cls.__name__}.reset_sequence(value) before"
        result = awaited(result, f"{owner}.{name}", instead)
        if inspect.iscoroutine(result):  # return super()._create(...) in an async _create
            result = awaited(result, f"{owner}.{name}", instead)
        return result

    return call


class AsyncFactoryOptions(base.FactoryOptions):
    """The ``Meta`` options of an `AsyncFactory`: those of factory_boy, and ``adapter``.

    A dedicated factory subclasses it with the adapter class of its store, and the ``Meta`` options
    that are passed to the adapter's constructor.
    """

    adapter_class: ClassVar[type[PersistenceAdapter[Any]] | None] = None
    """The adapter of a factory that sets no ``Meta.adapter``; ``None`` to infer it."""

    adapter_options: ClassVar[dict[str, str]] = {}
    """``Meta`` options that configure the adapter, each with its name in the constructor."""

    # What factory_boy and _build_default_options() set; not given a value here, since factory_boy
    # asserts that options are absent before it fills them in.
    factory: type[AsyncFactory[Any]]
    model: Any
    abstract: bool
    strategy: str
    rename: dict[str, str]
    inline_args: tuple[str, ...]
    adapter: object
    batch_size: int
    counter_reference: AsyncFactoryOptions

    _adapter: PersistenceAdapter[Any] | None = None
    _written_at: dict[str, Any]

    def _build_default_options(self) -> list[base.OptionDefault]:
        return [
            *super()._build_default_options(),
            base.OptionDefault("adapter", None, inherit=True),
            base.OptionDefault("batch_size", 1000, inherit=True, checker=self._check_batch_size),
            *(base.OptionDefault(name, _UNSET, inherit=True) for name in self.adapter_options),
        ]

    def _check_batch_size(self, meta: object, value: object) -> None:
        if type(value) is not int or value < 1:
            raise ConfigurationError(
                "batch_size",
                f"has to be a positive integer; got {value!r}.",
                owner=f"{self.factory.__name__}.Meta",
            )

    def _fill_from_meta(self, meta: type | None, base_meta: base.FactoryOptions | None) -> None:
        known = {option.name for option in self._build_default_options()}
        for name in vars(meta) if meta is not None else ():
            if not name.startswith("_") and name not in known:
                raise ConfigurationError(
                    name,
                    f"is not an option.{closest(name, known) or _of_another(name, known)} "
                    f"Known options: {', '.join(sorted(known))}.",
                    owner=f"{self.factory.__name__}.Meta",
                )
        self._own_options = frozenset(() if meta is None else vars(meta))
        super()._fill_from_meta(meta, base_meta)

    def contribute_to_class(
        self, factory: type[base.BaseFactory[Any]], *args: Any, **kwargs: Any
    ) -> None:
        super().contribute_to_class(factory, *args, **kwargs)
        self._written_at = _place_of_caller()
        self.pre_declarations = AwaitingDeclarations.of(self.pre_declarations)
        self.post_declarations = AwaitingDeclarations.of(self.post_declarations)
        self._adapter = self._configured_adapter()

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
                return given(**keywords)
        except ConfigurationError as error:
            raise self._in_words_of_meta(error) from error.__cause__
        if given is None:
            return None
        if not isinstance(given, PersistenceAdapter):
            raise ConfigurationError(
                "adapter",
                "takes an instance of a PersistenceAdapter, its class, or its registered name; "
                f"got {given!r}.",
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

    def check_create(self, extras: dict[str, Any]) -> None:
        """Raise, before anything is evaluated, if an object of this factory cannot be created.

        Args:
            extras: The keywords the object was asked for with.

        Raises:
            AsyncFactoryError: What is wrong, and what to write instead.
        """
        _storing.check_once(self, self._check_adapter)
        adapter = self.adapter_for_storing()
        if not adapter.get_or_create:
            return
        hook = inspect.getattr_static(self.factory, "_adjust_kwargs")
        if hook is not inspect.getattr_static(base.BaseFactory, "_adjust_kwargs"):
            return  # it may add the fields
        for field in adapter.get_or_create:
            names = {old for old, new in self.rename.items() if new == field} | {field}
            if not names & (self.pre_declarations.declarations.keys() | extras.keys()):
                raise self._no_value_for(field)

    def _check_adapter(self) -> None:
        adapter = self.adapter_for_storing()
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

    def _no_value_for(self, field: str) -> ConfigurationError:
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
        for field in adapter.get_or_create:
            if field not in values:
                raise self._no_value_for(field)
        return {field: values[field] for field in adapter.get_or_create}

    def _initialize_counter(self) -> None:
        if self._counter is None and self.counter_reference is self:
            first = self.factory._setup_next_sequence()
            # Where that had to wait, another task may have been here.
            if self._counter is None:
                self._counter = Counter(first)
        super()._initialize_counter()

    def reset_sequence(self, value: int | None = None, force: bool = False) -> None:
        top = self.counter_reference
        if value is not None and top._counter is None and (force or top is self):
            top._counter = Counter(value)  # an async _setup_next_sequence need not be asked
        super().reset_sequence(value, force)

    def request(
        self, model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> engine.Request[Any]:
        """Return the request for an object of this factory."""
        adapter = self.adapter_for_storing()
        request = _storing.request(adapter, model, args, kwargs, self.lookup(args, kwargs))
        if observing.observer is not None:
            request.factory = self.factory
        return request

    def instantiate(self, step: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._adapter is None or not self._adapter.get_or_create:
            return self._instantiate(step, args, kwargs)
        with _storing.given(frozenset(step.builder.extras)):
            return self._instantiate(step, args, kwargs)

    def _instantiate(self, step: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        # Not an AsyncStepBuilder, below a factory that is not ours.
        if getattr(step.builder, "is_last", False):
            return self.request(self.get_model_class(), args, kwargs)
        return super().instantiate(step, args, kwargs)

    @functools.cached_property
    def calls_nothing_around(self) -> bool:
        """Whether ``create()`` calls no code of the user's but what makes up the object."""
        return all(
            inspect.getattr_static(self.factory, name) is vars(AsyncFactory)[name]
            for name in ("create", "_generate")
        )

    @functools.cached_property
    def calls_nothing_after(self) -> bool:
        """Whether nothing of the user's is called with an object once it is stored."""
        own = inspect.getattr_static(self.factory, "_create") is vars(AsyncFactory)["_create"]
        after = inspect.getattr_static(self.factory, "_after_postgeneration")
        inherited = after is vars(base.BaseFactory)["_after_postgeneration"]
        return own and inherited and not self.post_declarations.declarations


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


_UNSET: Any = type("_Unset", (), {"__repr__": lambda self: "<unset>"})()


class AsyncFactory(base.Factory[T], metaclass=AsyncFactoryMetaclass):
    """Base of the factories whose objects are stored by a `PersistenceAdapter`.

    Everything in factory_boy's reference works, with ``await`` and ``_async`` put in place; every
    callable given to a declaration, and every hook, may be a coroutine function.

    ```python
    class UserFactory(AsyncFactory[User]):
        class Meta:
            model = User
            adapter = SQLAlchemyAdapter(get_or_create=("email",))

        email = factory.Sequence(lambda n: f"user{n}@example.org")
    ```

    ``Meta.adapter`` takes an adapter instance, an adapter class, or a registered name. Inside a
    hook or a declaration the synchronous methods of factory_boy work, and store as well:
    ``PostFactory.create(author=self)``.
    """

    _options_class = AsyncFactoryOptions
    _meta: AsyncFactoryOptions

    Meta: Any  # or pyright would hold the Meta of every factory against the one it inherits

    if TYPE_CHECKING:
        # Type checkers take UserFactory(...) for an instance, of which there are none: what the
        # metaclass returns is awaited for an object.
        def __new__(cls, **kwargs: Any) -> Self: ...
        def __await__(self) -> Generator[Any, Any, T]: ...

        # What factory_boy has no annotations for, mypy's strict mode does not let be called.
        @classmethod
        def stub(cls, **kwargs: Any) -> Any: ...
        @classmethod
        def stub_batch(cls, size: int, **kwargs: Any) -> list[Any]: ...
        @classmethod
        def reset_sequence(cls, value: int | None = None, force: bool = False) -> None: ...
        @classmethod
        def build(cls, **kwargs: Any) -> T: ...
        @classmethod
        def build_batch(cls, size: int, **kwargs: Any) -> list[T]: ...

        # "| Any" is for what an async override returns. It is not Awaitable, or super() would be
        # taken to return one.
        @classmethod
        def _adjust_kwargs(cls, **kwargs: Any) -> dict[str, Any] | Any: ...
        @classmethod
        def _setup_next_sequence(cls) -> int | Any: ...  # pyright: ignore[reportIncompatibleMethodOverride]
        @classmethod
        def _after_postgeneration(
            cls, instance: Any, create: bool, results: dict[str, Any] | None = None
        ) -> Any: ...

    @classmethod
    async def create_async(cls, **kwargs: Any) -> T:
        """Create one object, and store it.

        ```python
        user = await UserFactory.create_async(name="Ada", sqlalchemy_session=session)
        ```

        Args:
            **kwargs: Values or declarations to use in place of those of the factory, as in
                factory_boy (``company__name="ACME"`` reaches into a SubFactory); and the adapter's
                call-time options, which hold for everything that this call creates.

        Returns:
            The stored object.

        Raises:
            AsyncFactoryError: When the call, the factory or the adapter's options are wrong;
                nothing has been evaluated or stored then.
            Exception: What a declaration, a hook, the model or the database raises, untouched.
        """
        return await _storing.call(functools.partial(cls.create, **kwargs))

    @classmethod
    async def create_batch_async(cls, size: int, **kwargs: Any) -> list[T]:
        """Create `size` objects, and store them.

        ```python
        users = await UserFactory.create_batch_async(10, sqlalchemy_session=session)
        ```

        Args:
            size: The number of objects, 0 or more.
            **kwargs: As for `create_async`; they hold for each object.

        What is stored, and what hooks are called with, is as if `create_async` had been called in
        a loop; but up to ``Meta.batch_size`` objects are built side by side, and stored together.
        A declaration that queries the database for its siblings does not find them all: set
        ``Meta.batch_size = 1`` where that matters.

        Returns:
            The stored objects, in order.

        Raises:
            BatchSizeError: When `size` is negative, or not an integer.
            Exception: As for `create_async`. The first failure ends the batch; what was stored
                before it is part of the caller's transaction.
        """
        size = _size(cls, size)
        # Taken here once, not by each object of the batch.
        with options.scope(options.take(kwargs, inherited_only=True)):
            return await _storing.call_batch(cls._forked(kwargs), size, cls._meta.batch_size)

    @classmethod
    async def build_async(cls, **kwargs: Any) -> T:
        """Build one object without storing it, awaiting what is async in its declarations.

        ```python
        user = await UserFactory.build_async(name="Ada")
        ```

        Args:
            **kwargs: As for `create_async`. No session is needed, and none is used.

        Returns:
            The object.

        Raises:
            Exception: What a declaration, a hook or the model raises, untouched.
        """
        return await _storing.call(functools.partial(cls.build, **kwargs))

    @classmethod
    async def build_batch_async(cls, size: int, **kwargs: Any) -> list[T]:
        """Build `size` objects without storing them; see `build_async`.

        ```python
        users = await UserFactory.build_batch_async(10)
        ```

        Args:
            size: The number of objects, 0 or more.
            **kwargs: As for `create_async`; they hold for each object.

        Returns:
            The objects, in order.

        Raises:
            BatchSizeError: When `size` is negative, or not an integer.
            Exception: What a declaration, a hook or the model raises, untouched.
        """
        return await _storing.call(functools.partial(cls.build_batch, _size(cls, size), **kwargs))

    @classmethod
    async def generate_async(cls, strategy: str, **kwargs: Any) -> Any:
        """Build, create or stub one object.

        ```python
        user = await UserFactory.generate_async(factory.BUILD_STRATEGY)
        ```

        Args:
            strategy: ``"build"``, ``"create"`` or ``"stub"``.
            **kwargs: As for `create_async`.

        Returns:
            The object, or for ``"stub"`` a plain object with the attributes it would have.

        Raises:
            UnknownStrategyError: When the strategy is none of the three.
            Exception: As for `create_async`.
        """
        return await _storing.call(
            functools.partial(cls.generate, _strategy(cls, strategy), **kwargs)
        )

    @classmethod
    async def generate_batch_async(cls, strategy: str, size: int, **kwargs: Any) -> list[Any]:
        """Build, create or stub `size` objects; see `generate_async`.

        ```python
        users = await UserFactory.generate_batch_async(factory.BUILD_STRATEGY, 10)
        ```

        Args:
            strategy: ``"build"``, ``"create"`` or ``"stub"``.
            size: The number of objects, 0 or more.
            **kwargs: As for `create_async`; they hold for each object.

        Returns:
            The objects, in order.

        Raises:
            UnknownStrategyError: When the strategy is none of the three.
            BatchSizeError: When `size` is negative, or not an integer.
            Exception: As for `create_async`.
        """
        return await _storing.call(
            functools.partial(
                cls.generate_batch, _strategy(cls, strategy), _size(cls, size), **kwargs
            )
        )

    @classmethod
    def create(cls, **kwargs: Any) -> T:
        """Create one object from within a hook or a declaration; elsewhere use `create_async`.

        Raises:
            SyncCallError: When called elsewhere.
        """
        cls._refuse_outside_build("create", "create_async(...)")
        return super().create(**kwargs)

    @classmethod
    def create_batch(cls, size: int, **kwargs: Any) -> list[T]:
        """Create `size` objects from within a hook; elsewhere use `create_batch_async`.

        Raises:
            SyncCallError: When called elsewhere.
            BatchSizeError: When `size` is negative, or not an integer.
        """
        cls._refuse_outside_build("create_batch", "create_batch_async(size, ...)")
        with options.scope(options.take(kwargs, inherited_only=True)):
            return _storing.fork(cls._forked(kwargs), _size(cls, size), cls._meta.batch_size)

    @classmethod
    def _forked(cls, kwargs: dict[str, Any]) -> Callable[[], T]:
        """Return what creates one of the objects of a batch."""
        create = functools.partial(cls.create, **kwargs)
        return _storing.as_last(create) if cls._meta.calls_nothing_around else create

    @classmethod
    def _refuse_outside_build(cls, method: str, instead: str) -> None:
        if not engine.in_build():
            raise SyncCallError(
                f"{cls.__name__}.{method}() cannot wait for the database; write "
                f"await {cls.__name__}.{instead}. (The synchronous call works inside of hooks, "
                "declarations and _create() overrides that are plain functions.)"
            )

    @classmethod
    def _refuse_below_plain_factory(cls) -> None:
        if not engine.in_build():
            raise SyncCallError(
                f"{cls.__name__} cannot wait for the database below a factory that is not async, "
                f"whose SubFactory has asked for an object of {cls.__name__}; derive that factory "
                "from an async one too, such as AsyncFactory, and write "
                "await ...Factory.create_async(...)."
            )

    @classmethod
    def _generate(cls, strategy: str, params: dict[str, Any]) -> Any:
        if cls._meta.abstract:
            raise AbstractFactoryError(
                f"Cannot generate instances of abstract factory {cls.__name__}; set "
                f"{cls.__name__}.Meta.model, and leave Meta.abstract out."
            )
        return AsyncStepBuilder(cls._meta, params, strategy).build()

    @classmethod
    def _build(cls, model_class: type[T], *args: Any, **kwargs: Any) -> Any:
        adapter = cls._meta._adapter
        try:
            if adapter is None:
                return super()._build(model_class, *args, **kwargs)
            return adapter.build(model_class, args, kwargs)
        except TypeError as error:
            if not isinstance(model_class, str):
                raise
            raise ConfigurationError(
                "model",
                f"is {model_class!r}, a string; give it the class itself.",
                owner=f"{cls.__name__}.Meta",
            ) from error

    @classmethod
    def _create(cls, model_class: type[T], *args: Any, **kwargs: Any) -> Any:
        awaits = engine.in_coroutine()  # await super()._create(...), in an async _create
        if not awaits:
            # Reached outside of a build through a SubFactory of a factory that is not ours.
            cls._refuse_below_plain_factory()
        store = functools.partial(engine.submit, cls._meta.request(model_class, args, kwargs))
        return engine.run(store) if awaits else store()


def _size(cls: type, size: int) -> int:
    try:
        number = operator.index(size)
    except TypeError:
        number = -1
    if number < 0:
        raise BatchSizeError(
            f"The size of a batch of {cls.__name__} has to be an integer, 0 or more; got {size!r}."
        )
    return number


def _strategy(cls: type, strategy: str) -> str:
    strategies = (enums.BUILD_STRATEGY, enums.CREATE_STRATEGY, enums.STUB_STRATEGY)
    if strategy not in strategies:
        raise UnknownStrategyError(
            "strategy",
            f"has to be one of {', '.join(map(repr, strategies))}; got {strategy!r}.",
            owner=cls.__name__,
        )
    return strategy
