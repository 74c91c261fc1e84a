"""`AsyncFactory` and its metaclass."""

from __future__ import annotations

import operator
from collections.abc import Generator
from functools import wraps
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, TypeVar, cast

from factory.base import Factory
from factory.enums import BUILD_STRATEGY, CREATE_STRATEGY, STUB_STRATEGY

from async_factory_boy import engine
from async_factory_boy.exceptions import (
    BatchSizeError,
    SyncCallError,
    UnknownStrategyError,
)
from async_factory_boy.factory import batches
from async_factory_boy.factory.automatic import Explanation, explained
from async_factory_boy.factory.calls import current_place, in_coroutine
from async_factory_boy.factory.meta import AsyncFactoryOptions, note_own_hooks
from async_factory_boy.factory.plan import forget_plans
from async_factory_boy.factory.upstream import Metaclass

if TYPE_CHECKING:
    from typing_extensions import Self

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

T = TypeVar("T")
C = TypeVar("C")

# What a factory may override with a coroutine function.
_MAY_BE_ASYNC = (
    "_adjust_kwargs", "_after_postgeneration", "_build", "_create", "_setup_next_sequence",
)  # fmt: skip


def _waited_for(
    subject: str, hook: classmethod[Any, Any, Any] | staticmethod[Any, Any]
) -> classmethod[Any, Any, Any]:
    """Return an async hook that a synchronous override can call: ``super()._create(...)``."""

    @wraps(hook.__func__)
    def call(cls: type, *args: Any, **kwargs: Any) -> Any:
        result = hook.__get__(None, cls)(*args, **kwargs)
        place = current_place() if engine.in_fiber() else None
        if place is None or place.step is None:
            return result  # an async override awaits it
        return place.step.waited_for(result, subject, lambda: "")

    vars(call)["original"] = hook
    return classmethod(call)


class AsyncFactoryMetaclass(Metaclass):
    """Makes ``await UserFactory(...)`` work, and lets the hooks of a factory be async."""

    def __new__(
        mcs, class_name: str, bases: tuple[type, ...], attrs: dict[str, Any]
    ) -> AsyncFactoryMetaclass:
        new: AsyncFactoryMetaclass = super().__new__(mcs, class_name, bases, attrs)
        for name in _MAY_BE_ASYNC:
            hook = vars(new).get(name)
            if isinstance(hook, classmethod | staticmethod) and iscoroutinefunction(hook.__func__):
                setattr(new, name, _waited_for(f"{class_name}.{name}", hook))
        return new

    def __setattr__(cls, name: str, value: object) -> None:  # noqa: N805
        super().__setattr__(name, value)
        forget_plans()  # which know what is overridden

    def __delattr__(cls, name: str) -> None:  # noqa: N805
        super().__delattr__(name)
        forget_plans()

    def _called(cls, **kwargs: Any) -> Any:  # noqa: N805 (a metaclass: its instances are classes)
        if engine.in_fiber():
            return super().__call__(**kwargs)
        factory = cast("type[AsyncFactory[Any]]", cls)
        strategy = _strategy(factory, factory._meta.strategy)
        # Not generate_async(strategy, ...): a model may have a field of that name.
        if strategy == CREATE_STRATEGY:
            return factory.create_async(**kwargs)
        if strategy == BUILD_STRATEGY:
            return factory.build_async(**kwargs)
        return _one(factory, strategy, kwargs)

    if TYPE_CHECKING:
        # As if an instance were made, which is what AsyncFactory.__await__ is for.
        def __call__(cls: type[C], **kwargs: Any) -> C: ...  # noqa: N805
    else:
        __call__ = _called


class AsyncFactory(Factory[T], metaclass=AsyncFactoryMetaclass):
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
        return cast("T", (await batches.generate(cls, CREATE_STRATEGY, 1, kwargs))[0])

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
        return await batches.generate(cls, CREATE_STRATEGY, _size(cls, size), kwargs)

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
        return cast("T", (await batches.generate(cls, BUILD_STRATEGY, 1, kwargs))[0])

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
        return await batches.generate(cls, BUILD_STRATEGY, _size(cls, size), kwargs)

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
        return await _one(cls, _strategy(cls, strategy), kwargs)

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
        return await batches.generate(cls, _strategy(cls, strategy), _size(cls, size), kwargs)

    @classmethod
    def explain(cls) -> Explanation:
        """Print, and return, what the fields of the model are filled by.

        ```python
        UserFactory.explain()
        ```

        Returns:
            A row for each field: its name; whether it is declared, chosen by
            ``Meta.auto_declarations``, or left out; the rule, or the reason; and the declaration.

        Raises:
            AdapterError: When the adapter cannot tell what the model is made of, or not yet.
            ConfigurationError: When no rule is for a field that has to be filled.
        """
        explanation = explained(cls._meta)
        print(explanation)
        return explanation

    @classmethod
    def create(cls, **kwargs: Any) -> T:
        """Create one object from within a hook or a declaration; elsewhere use `create_async`.

        Raises:
            SyncCallError: When called elsewhere.
        """
        cls._refuse_outside_fiber("create", "create_async(...)")
        return super().create(**kwargs)

    @classmethod
    def create_batch(cls, size: int, **kwargs: Any) -> list[T]:
        """Create `size` objects from within a hook; elsewhere use `create_batch_async`.

        Raises:
            SyncCallError: When called elsewhere.
            BatchSizeError: When `size` is negative, or not an integer.
        """
        cls._refuse_outside_fiber("create_batch", "create_batch_async(size, ...)")
        return batches.generate_here(cls, CREATE_STRATEGY, _size(cls, size), kwargs)

    if not TYPE_CHECKING:  # where they are declared above

        @classmethod
        def build_batch(cls, size: int, **kwargs: Any) -> list[T]:
            """Build `size` objects, as factory_boy does."""
            return batches.generate_here(cls, BUILD_STRATEGY, size, kwargs)

        @classmethod
        def stub_batch(cls, size: int, **kwargs: Any) -> list[Any]:
            """Stub `size` objects, as factory_boy does."""
            return batches.generate_here(cls, STUB_STRATEGY, size, kwargs)

    @classmethod
    def _refuse_outside_fiber(cls, method: str, instead: str) -> None:
        if not engine.in_fiber():
            raise SyncCallError(
                f"{cls.__name__}.{method}() cannot wait for the database; write "
                f"await {cls.__name__}.{instead}. (The synchronous call works inside of hooks, "
                "declarations and _create() overrides that are plain functions.)"
            )

    @classmethod
    def _refuse_below_plain_factory(cls) -> None:
        if not engine.in_fiber():
            raise SyncCallError(
                f"{cls.__name__} cannot wait for the database below a factory that is not async, "
                f"whose SubFactory has asked for an object of {cls.__name__}; derive that factory "
                "from an async one too, such as AsyncFactory, and write "
                "await ...Factory.create_async(...)."
            )

    @classmethod
    def _generate(cls, strategy: str, params: dict[str, Any]) -> Any:
        return batches.one_here(cls, strategy, params)

    @classmethod
    def _build(cls, model_class: type[T], *args: Any, **kwargs: Any) -> Any:
        return cls._meta.constructor(model_class, stores=False)(args, kwargs)

    @classmethod
    def _create(cls, model_class: type[T], *args: Any, **kwargs: Any) -> Any:
        if in_coroutine():
            # await super()._create(...), in an async _create
            return batches.stored(cls, model_class, args, kwargs)
        # Reached outside of a call through a SubFactory of a factory that is not ours.
        cls._refuse_below_plain_factory()
        return batches.stored_here(cls, model_class, args, kwargs)


_HOOKS = (
    "_adjust_kwargs", "_after_postgeneration", "_build", "_create", "_generate",
    "_setup_next_sequence", "build", "build_batch", "create", "create_batch", "stub", "stub_batch",
)  # fmt: skip
note_own_hooks(Factory, _HOOKS)
note_own_hooks(AsyncFactory, _HOOKS)


async def _one(cls: type[AsyncFactory[Any]], strategy: str, keywords: dict[str, Any]) -> Any:
    return (await batches.generate(cls, strategy, 1, keywords))[0]


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
    strategies = (BUILD_STRATEGY, CREATE_STRATEGY, STUB_STRATEGY)
    if strategy not in strategies:
        raise UnknownStrategyError(
            "strategy",
            f"has to be one of {', '.join(map(repr, strategies))}; got {strategy!r}.",
            owner=cls.__name__,
        )
    return strategy
