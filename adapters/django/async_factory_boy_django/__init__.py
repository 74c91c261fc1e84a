"""factory_boy factories whose objects are stored by Django's async ORM.

```python
class UserFactory(AsyncDjangoModelFactory[User]):
    class Meta:
        model = User

    username = factory.Sequence(lambda n: f"user{n}")


user = await UserFactory.create_async()
```
"""

from async_factory_boy_django.adapter import DjangoAdapter
from async_factory_boy_django.factory import AsyncDjangoModelFactory, AsyncDjangoOptions
from async_factory_boy_django.signals import mute_signals

__all__ = ["AsyncDjangoModelFactory", "AsyncDjangoOptions", "DjangoAdapter", "mute_signals"]
