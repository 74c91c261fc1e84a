"""`AsyncFactory`: a factory_boy factory whose objects are stored by a `PersistenceAdapter`.

```python
class UserFactory(AsyncFactory[User]):
    class Meta:
        model = User
        adapter = "sqlalchemy"

    name = factory.Faker("name")


user = await UserFactory.create_async(sqlalchemy_session=session)
```

The modules of this package hold a dedicated factory for each ORM, with its options in ``Meta``.
"""

from async_factory_boy.factory.automatic import KeyOf
from async_factory_boy.factory.base import AsyncFactory
from async_factory_boy.factory.helpers import (
    build_async,
    build_batch_async,
    create_async,
    create_batch_async,
    generate_async,
    generate_batch_async,
    make_factory,
)
from async_factory_boy.factory.meta import AsyncFactoryOptions

__all__ = [
    "AsyncFactory",
    "AsyncFactoryOptions",
    "KeyOf",
    "build_async",
    "build_batch_async",
    "create_async",
    "create_batch_async",
    "generate_async",
    "generate_batch_async",
    "make_factory",
]
