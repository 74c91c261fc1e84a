"""`AsyncDjangoModelFactory`: factories for the models of Django."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from weakref import WeakSet

from asgiref.sync import sync_to_async
from django.apps import apps
from django.core.exceptions import (
    AppRegistryNotReady,
    ImproperlyConfigured,
    SynchronousOnlyOperation,
)
from django.db.models import Manager, Model
from factory.base import OptionDefault

from async_factory_boy import engine
from async_factory_boy.exceptions import ConfigurationError
from async_factory_boy.factory import AsyncFactory, AsyncFactoryOptions
from async_factory_boy_django.adapter import DjangoAdapter

__all__ = ["AsyncDjangoModelFactory", "AsyncDjangoOptions"]

T = TypeVar("T", bound=Model)

# Models whose constructor makes queries.
_querying: WeakSet[Any] = WeakSet()


class AsyncDjangoOptions(AsyncFactoryOptions):
    """The ``Meta`` options of an `AsyncDjangoModelFactory`."""

    adapter_class = DjangoAdapter
    adapter_options = {
        "django_get_or_create": "get_or_create",
        "database": "database",
    }
    skip_postgeneration_save: bool

    def _build_default_options(self) -> list[OptionDefault]:
        return [
            *super()._build_default_options(),
            OptionDefault("skip_postgeneration_save", True, inherit=True),
        ]

    def get_model_class(self) -> Any:
        """Return the model. One that is given by name is looked up when Django has loaded it.

        Raises:
            ConfigurationError: When there is none of that name.
        """
        try:
            return self._look_up_model()
        except (AppRegistryNotReady, ImproperlyConfigured):
            return self.model  # until an object is asked for, which may be after django.setup()

    def model_to_construct(self) -> Any:
        """Return the model, once an object is asked for.

        Raises:
            ConfigurationError: When there is none of that name, or Django is not ready.
        """
        try:
            return self._look_up_model()
        except ImproperlyConfigured as error:
            raise self._unusable_model(
                f"cannot be looked up: {error} With pytest-django, set DJANGO_SETTINGS_MODULE in "
                "the configuration of pytest; elsewhere, in the environment, and call "
                "django.setup()."
            ) from None
        except AppRegistryNotReady:
            raise self._unusable_model(
                "cannot be looked up, since Django has not loaded its apps yet. Call "
                "django.setup() before, and create no objects while modules are imported."
            ) from None

    def constructor(
        self, model: Any, *, stores: bool
    ) -> Callable[[Sequence[Any], Mapping[str, Any]], Any]:
        """Return what constructs an object: where its defaults make queries, in the ORM's thread.

        There ``await Model.objects.acreate()`` constructs it.
        """
        construct = super().constructor(model, stores=stores)

        def construct_anywhere(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
            if model not in _querying or not engine.in_fiber():
                try:
                    return construct(args, kwargs)
                except SynchronousOnlyOperation:
                    if not engine.in_fiber():
                        raise
                    _querying.add(model)
            return engine.wait(sync_to_async(construct, thread_sensitive=True)(args, kwargs))

        return construct_anywhere

    def _look_up_model(self) -> Any:
        if isinstance(self.model, str):
            try:
                apps.check_apps_ready()  # tells settings that are not configured
                self.model = apps.get_model(self.model)
            except LookupError as error:
                raise self._unusable_model(
                    f"is not installed: {error} Add the app to settings.INSTALLED_APPS, or "
                    "correct it."
                ) from None
            except ValueError:
                raise self._unusable_model(
                    'is no name of a model; write "app_label.ModelName".'
                ) from None
        return self.model

    def _unusable_model(self, problem: str) -> ConfigurationError:
        return ConfigurationError(
            "model", f"is {self.model!r}, which {problem}", owner=f"{self.factory.__name__}.Meta"
        )

    def _get_counter_reference(self) -> Any:
        base = self.base_factory._meta if self.base_factory is not None else None
        parent = base.model if base is not None else None
        if isinstance(self.model, str) or isinstance(parent, str):
            # Not known yet; what is the same by name, at least, shares its sequence.
            return base.counter_reference if base is not None and self.model == parent else self
        if _is_abstract(parent) and not _is_abstract(self.model):
            return self  # models that have an abstract one in common have tables of their own
        return super()._get_counter_reference()


def _is_abstract(model: Any) -> bool:
    return isinstance(model, type) and issubclass(model, Model) and model._meta.abstract


class AsyncDjangoModelFactory(AsyncFactory[T]):
    """Base of the factories for the models of Django.

    ```python
    class UserFactory(AsyncDjangoModelFactory[User]):
        class Meta:
            model = "accounts.User"
            django_get_or_create = ("username",)

        username = factory.Sequence(lambda n: f"user{n}")
        company = factory.SubFactory(CompanyFactory)
        password = factory.django.Password("secret")


    user = await UserFactory.create_async()
    ```

    ``Meta`` takes factory_boy's options, and

    - ``model``: the class, or its name as ``"app_label.ModelName"``;
    - ``django_get_or_create``: fields to look an object up by before storing a new one;
    - ``database``: the alias of the database;
    - ``skip_postgeneration_save``: ``False`` to save an object again after hooks have run, as
      factory_boy 3 does by default. Here the default is ``True``, which is to be that of
      factory_boy 4: a hook that changes the object saves it, with ``await self.asave()``.

    They are described at `async_factory_boy_django.DjangoAdapter`.

    The database is the first of: the call's keyword ``django_database``, the innermost
    `async_factory_boy.bind`, ``Meta.database``, the one that the database routers choose.

    A manager that overrides ``create()`` is asked to create the object, as by factory_boy; such
    objects are stored one by one.
    """

    _options_class = AsyncDjangoOptions
    _meta: AsyncDjangoOptions

    @classmethod
    def _get_manager(cls, model_class: type[T]) -> Manager[T]:
        """Return the manager, for an override of ``_create()`` that calls another of its methods.

        ```python
        @classmethod
        async def _create(cls, model_class, *args, **kwargs):
            return await cls._get_manager(model_class).acreate_user(*args, **kwargs)
        ```
        """
        return cls._django_adapter().manager(model_class)

    @classmethod
    def _django_adapter(cls) -> DjangoAdapter[T]:
        adapter = cls._meta.adapter_for_storing()
        if isinstance(adapter, DjangoAdapter):
            return adapter
        raise ConfigurationError(
            "adapter",
            f"has to be a DjangoAdapter; got {adapter!r}. Derive from AsyncFactory to use another.",
            owner=f"{cls.__name__}.Meta",
        )

    @classmethod
    def _create(cls, model_class: type[T], *args: Any, **kwargs: Any) -> Any:
        adapter = cls._django_adapter()
        if adapter.has_own_create(model_class):
            lookup = cls._meta.lookup(args, kwargs)
            if lookup:  # Django's get_or_create() takes no positional arguments
                named = dict(zip(cls._meta.inline_args, args, strict=True))
                args, kwargs = (), {**named, **kwargs}
            # Not awaited here: this is a hook, and so its result is.
            return adapter.create(model_class, args, kwargs, lookup)
        return super()._create(model_class, *args, **kwargs)

    @classmethod
    def _after_postgeneration(cls, instance: Any, create: bool, results: Any = None) -> Any:
        if create and results and not cls._meta.skip_postgeneration_save:
            return instance.asave(using=instance._state.db)
        return super()._after_postgeneration(instance, create, results)
