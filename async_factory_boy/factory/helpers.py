"""Factories made for a single call, as factory_boy's helpers of the same names make them.

`factory.build(User, FACTORY_CLASS=UserFactory)` and its siblings work as well; these are the ones
to await. Their keywords are declarations, the adapter's call-time options, and ``FACTORY_CLASS``:
the factory class to derive from, `AsyncFactory` by default; and ``auto_declarations``, which is as
in ``Meta``.

```python
user = await create_async(
    User,
    FACTORY_CLASS=AsyncSQLAlchemyModelFactory,
    name=factory.Faker("name"),
    sqlalchemy_session=session,
)
```
"""

from __future__ import annotations

from typing import Any, TypeVar, cast

from factory.helpers import make_factory as make_by_class

from async_factory_boy import options
from async_factory_boy.auto.chosen import factory_name
from async_factory_boy.factory import upstream
from async_factory_boy.factory.automatic import Option
from async_factory_boy.factory.base import AsyncFactory

# pytest leaves the frames of this module out, unless it is asked for --full-trace.
__tracebackhide__ = True

T = TypeVar("T")


def make_factory(
    klass: type[T], *, auto_declarations: Option | None = None, **kwargs: Any
) -> type[AsyncFactory[T]]:
    """Make a factory for `klass`.

    ```python
    UserFactory = make_factory(
        User, FACTORY_CLASS=AsyncSQLAlchemyModelFactory, name=factory.Faker("name")
    )
    ```

    Args:
        klass: The model.
        auto_declarations: As ``Meta.auto_declarations``: what is taken from the model.
        **kwargs: The declarations, and ``FACTORY_CLASS``.

    Returns:
        The factory class.

    Raises:
        ConfigurationError: When `auto_declarations` is none of what it can be.
    """
    base: Any = kwargs.pop("FACTORY_CLASS", AsyncFactory)
    if auto_declarations is not None:
        options = {"abstract": True, "auto_declarations": auto_declarations}
        base = type(base)(factory_name(klass), (base,), {"Meta": type("Meta", (), options)})
    if not hasattr(klass, "__name__"):  # a table, which factory_boy's own function asks for one
        attributes = {"Meta": type("Meta", (), {"model": klass}), "__module__": upstream.__name__}
        unnamed: Any = type(base)(factory_name(klass), (base,), {**attributes, **kwargs})
        return cast("type[AsyncFactory[T]]", unnamed)
    made: type[AsyncFactory[T]] = make_by_class(klass, FACTORY_CLASS=base, **kwargs)
    return made


async def create_async(klass: type[T], **kwargs: Any) -> T:
    """Create an object of `klass`, and store it."""
    given = options.take(kwargs)
    return await make_factory(klass, **kwargs).create_async(**given)


async def create_batch_async(klass: type[T], size: int, **kwargs: Any) -> list[T]:
    """Create `size` objects of `klass`, and store them."""
    given = options.take(kwargs)
    return await make_factory(klass, **kwargs).create_batch_async(size, **given)


async def build_async(klass: type[T], **kwargs: Any) -> T:
    """Build an object of `klass`."""
    given = options.take(kwargs)
    return await make_factory(klass, **kwargs).build_async(**given)


async def build_batch_async(klass: type[T], size: int, **kwargs: Any) -> list[T]:
    """Build `size` objects of `klass`."""
    given = options.take(kwargs)
    return await make_factory(klass, **kwargs).build_batch_async(size, **given)


async def generate_async(klass: type[T], strategy: str, **kwargs: Any) -> Any:
    """Build, create or stub an object of `klass`."""
    given = options.take(kwargs)
    return await make_factory(klass, **kwargs).generate_async(strategy, **given)


async def generate_batch_async(
    klass: type[T], strategy: str, size: int, **kwargs: Any
) -> list[Any]:
    """Build, create or stub `size` objects of `klass`."""
    given = options.take(kwargs)
    return await make_factory(klass, **kwargs).generate_batch_async(strategy, size, **given)
