"""What is left out where the keys of a relation are given, by a store of the tests' own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import factory
import pytest

from async_factory_boy import AdapterError, ConfigurationError, LeftOutError
from async_factory_boy.adapters import PersistenceAdapter
from async_factory_boy.factory import AsyncFactory


class Row:
    def __init__(self, **values: Any) -> None:
        vars(self).update(values)


class Tenant(Row):
    pass


class User(Row):
    pass


class Strict(Row):
    def __init__(self, name: str, tenant: Tenant, **values: Any) -> None:
        super().__init__(name=name, tenant=tenant, **values)


class KeyedAdapter(PersistenceAdapter[Any]):
    """Keeps rows in a list. A tenant has a composite key; an author's has one column of it."""

    def __init__(self) -> None:
        self.rows: list[Any] = []

    async def save(self, instance: Any) -> Any:
        if isinstance(instance, Tenant):
            instance.code = f"t{len(self.rows)}"
        self.rows.append(instance)
        return instance

    def keys_of(self, model: Any) -> Mapping[str, Mapping[str, str]]:
        return {} if model is Tenant else {"tenant": {"region": "region", "tenant_code": "code"}}

    def stored(self, model: type) -> list[Any]:
        return [row for row in self.rows if type(row) is model]


class Family:
    """Factories with an adapter of their own."""

    def __init__(self, adapter: type[KeyedAdapter] = KeyedAdapter) -> None:
        self.adapter = made = adapter()

        class TenantFactory(AsyncFactory[Tenant]):
            class Meta:
                adapter = made

            region = "eu"

        class UserFactory(AsyncFactory[User]):
            class Meta:
                adapter = made

            tenant = factory.SubFactory(TenantFactory)
            name = "ada"

        self.TenantFactory, self.UserFactory = TenantFactory, UserFactory


@pytest.fixture
def family() -> Family:
    return Family()


async def test_all_keys_are_given(family: Family) -> None:
    """A relation of several keys is left out if all are given, and stays if some are."""
    user = await family.UserFactory.create_async(region="us", tenant_code="x")
    assert vars(user) == {"name": "ada", "region": "us", "tenant_code": "x"}
    assert family.adapter.stored(Tenant) == []
    user = await family.UserFactory.create_async(region="eu")
    assert family.adapter.stored(Tenant) == [user.tenant]


@pytest.mark.parametrize("size", [1, 2])
async def test_some_keys_contradict_the_relation(family: Family, size: int) -> None:
    """Some of the keys, given, have to be those of the relation, which would replace them."""
    message = (
        "UserFactory.region is given as 'us', but the tenant that is declared has 'eu' for its "
        "region; give tenant__region too, or all keys of tenant."
    )
    with pytest.raises(ConfigurationError, match=f"^{re.escape(message)}"):
        await family.UserFactory.create_batch_async(size, region="us")
    users = await family.UserFactory.create_batch_async(size, region="us", tenant__region="us")
    assert [user.tenant.region for user in users] == ["us"] * size

    class AloneFactory(family.UserFactory):  # type: ignore[name-defined, misc]
        tenant = None

    assert (await AloneFactory.create_async(region="us")).region == "us"


async def test_none_is_given(family: Family) -> None:
    """A key that is given as None leaves the relation out as any other does."""
    user = await family.UserFactory.create_async(region=None, tenant_code=None)
    assert vars(user) == {"name": "ada", "region": None, "tenant_code": None}
    assert family.adapter.stored(Tenant) == []


async def test_some_keys_are_declared_closer(family: Family) -> None:
    """A key of a subclass and one of the call leave out the relation of the base, together."""

    class EuropeanFactory(family.UserFactory):  # type: ignore[name-defined, misc]
        region = "eu"

    await EuropeanFactory.create_async(tenant_code="x")
    assert family.adapter.stored(Tenant) == []
    await EuropeanFactory.create_async()
    assert len(family.adapter.stored(Tenant)) == 1


async def test_both_are_declared_in_a_class(family: Family) -> None:
    """What one class declares of a relation and its keys, all of that is handed to the model."""

    class BothFactory(family.UserFactory):  # type: ignore[name-defined, misc]
        tenant = factory.SubFactory(family.TenantFactory)
        region = "eu"
        tenant_code = factory.SelfAttribute("tenant.code")

    user = await BothFactory.create_async()
    assert (user.region, user.tenant_code) == ("eu", user.tenant.code)


async def test_declared_key_of_a_given_relation(family: Family) -> None:
    """A value that a class declares for a key is not that of a relation which is given."""

    class FixedFactory(family.UserFactory):  # type: ignore[name-defined, misc]
        region = "eu"
        tenant_code = "x"
        label = factory.LazyAttribute(lambda user: f"of {user.tenant_code}")

    tenant = Tenant(region="us", code="y")
    user = await FixedFactory.create_async(tenant=tenant)
    assert vars(user) == {"name": "ada", "tenant": tenant, "label": "of x"}


async def test_closest_keyword_of_a_part_wins(family: Family) -> None:
    """Of what a declaration has for a part, and the call gives to it, the call's counts."""
    tenant = Tenant(region="us", code="y")

    class PostFactory(AsyncFactory[Row]):
        class Meta:
            adapter = family.adapter

        tenant = factory.SubFactory(family.TenantFactory)
        author = factory.SubFactory(family.UserFactory, tenant=factory.SelfAttribute("..tenant"))
        editor = factory.SubFactory(family.UserFactory, region="eu", tenant_code="x")

    post = await PostFactory.create_async(
        author__region="us", author__tenant_code="x", editor__tenant=tenant, tenant=tenant
    )
    assert vars(post.author) == {"name": "ada", "region": "us", "tenant_code": "x"}
    assert vars(post.editor) == {"name": "ada", "tenant": tenant}
    assert family.adapter.stored(Tenant) == []


async def test_part_refers_to_what_is_left_out(family: Family) -> None:
    """A part that refers to a relation which the whole has left out is told so."""

    class PostFactory(family.UserFactory):  # type: ignore[name-defined, misc]
        author = factory.SubFactory(family.UserFactory, tenant=factory.SelfAttribute("..tenant"))

    with pytest.raises(LeftOutError) as caught:
        await PostFactory.create_async(region="us", tenant_code="x")
    assert str(caught.value) == (
        "PostFactory.tenant is left out, since region and tenant_code are given; read region and "
        "tenant_code here, or give tenant to the call in place of region and tenant_code."
    )
    assert family.adapter.rows == []


async def test_related_object_has_the_key(family: Family) -> None:
    """A key that contradicts what a RelatedFactory relates its object to is refused."""

    class OwnerFactory(family.TenantFactory):  # type: ignore[name-defined, misc]
        user = factory.RelatedFactory(family.UserFactory, "tenant")

    with pytest.raises(ConfigurationError, match="region is given as 'us', but the tenant that"):
        await OwnerFactory.create_async(user__region="us")
    await OwnerFactory.create_async(user__region="eu")
    (user,) = family.adapter.stored(User)
    assert user.tenant is family.adapter.stored(Tenant)[-1]


async def test_given_to_what_is_left_out(family: Family) -> None:
    """A keyword for an object that the keys of the same call leave out is refused."""
    with pytest.raises(ConfigurationError) as caught:
        await family.UserFactory.create_async(region="us", tenant_code="x", tenant__region="us")
    assert str(caught.value) == (
        "UserFactory.tenant__region is given besides region and tenant_code, which leaves tenant "
        "out; give one of them."
    )


async def test_trait_that_makes_the_relation(family: Family) -> None:
    """What the call gives for the keys beats a trait, and a trait what a class declares."""

    class TraitFactory(family.UserFactory):  # type: ignore[name-defined, misc]
        class Params:
            new = factory.Trait(tenant=factory.SubFactory(family.TenantFactory))
            known = factory.Trait(region="us", tenant_code="x")

    await TraitFactory.create_async(new=True, region="us", tenant_code="y")
    await TraitFactory.create_async(known=True)
    assert family.adapter.stored(Tenant) == []
    users = await TraitFactory.create_batch_async(
        2, new=True, known=factory.Iterator([True, False])
    )
    assert family.adapter.stored(Tenant) == [user.tenant for user in users]


async def test_trait_is_read_early(family: Family) -> None:
    """A relation that a trait leaves out is told to be so before its turn, too."""

    class EarlyFactory(AsyncFactory[User]):
        class Meta:
            adapter = family.adapter

        class Params:
            known = factory.Trait(region="us", tenant_code="x")

        label = factory.LazyAttribute(lambda user: f"of {user.tenant.code}")
        tenant = factory.SubFactory(family.TenantFactory)

    with pytest.raises(LeftOutError, match=r"EarlyFactory\.tenant is left out"):
        await EarlyFactory.create_async(known=True)
    user = await EarlyFactory.create_async(known=False)
    assert user.label == f"of {user.tenant.code}"
    user = await EarlyFactory.create_async(known=True, label="none")
    assert vars(user) == {"label": "none", "region": "us", "tenant_code": "x"}


async def test_renamed(family: Family) -> None:
    """Relation and keys are known by the names that the factory has for them."""

    class RenamedFactory(AsyncFactory[User]):
        class Meta:
            adapter = family.adapter
            rename = {"owner": "tenant", "code": "tenant_code"}

        owner = factory.SubFactory(family.TenantFactory)

    user = await RenamedFactory.create_async(region="us", code="x")
    assert vars(user) == {"region": "us", "tenant_code": "x"}
    assert family.adapter.stored(Tenant) == []


async def test_adjusted(family: Family) -> None:
    """_adjust_kwargs() sees nothing of a relation that is left out, by a trait or the call."""
    seen = []

    class AdjustedFactory(family.UserFactory):  # type: ignore[name-defined, misc]
        class Params:
            known = factory.Trait(region="us", tenant_code="x")

        @classmethod
        def _adjust_kwargs(cls, **kwargs: Any) -> dict[str, Any]:
            seen.append(sorted(kwargs.keys() - {"known"}))
            return kwargs

    await AdjustedFactory.create_async(region="us", tenant_code="x")
    await AdjustedFactory.create_async(known=True)
    assert seen == [["name", "region", "tenant_code"]] * 2


async def test_model_requires_the_relation(family: Family) -> None:
    """A model that cannot be constructed without the relation is told, before anything is made."""

    class StrictFactory(AsyncFactory[Strict]):
        class Meta:
            adapter = family.adapter

        class Params:
            known = factory.Trait(region="us", tenant_code="x")

        name = "ada"
        tenant = factory.SubFactory(family.TenantFactory)

    message = (
        "StrictFactory.tenant cannot be left out, as it has to be since region and tenant_code are "
        "given: Strict() requires tenant. Give tenant in place of region and tenant_code, or give "
        "the parameter of Strict() a default."
    )
    for given in ({"region": "us", "tenant_code": "x"}, {"known": True}):
        with pytest.raises(ConfigurationError) as caught:
            await StrictFactory.create_async(**given)
        assert str(caught.value) == message
    assert family.adapter.rows == []
    assert StrictFactory.stub(region="us", tenant_code="x").region == "us"


async def test_positional_relation(family: Family) -> None:
    """A relation that is a positional argument cannot be left out."""

    class PositionalFactory(family.UserFactory):  # type: ignore[name-defined, misc]
        class Meta:
            inline_args = ("tenant",)

    with pytest.raises(ConfigurationError, match=r"makes it positional\. Give tenant"):
        await PositionalFactory.create_async(region="us", tenant_code="x")


async def test_get_or_create_by_the_relation(family: Family) -> None:
    """An object that is looked up by a relation is looked up by its keys where these are given."""
    lookups: list[Any] = []

    class FindingAdapter(KeyedAdapter):
        get_or_create = ("tenant", "name")

        async def find(self, model: Any, lookup: Mapping[str, Any]) -> Any:
            lookups.append(dict(lookup))

    class FindingFactory(AsyncFactory[User]):
        class Meta:
            adapter = FindingAdapter()

        class Params:
            known = factory.Trait(region="us", tenant_code="x")

        tenant = factory.SubFactory(family.TenantFactory)
        name = "ada"

    await FindingFactory.create_async(region="us", tenant_code="x")
    assert lookups == [{"region": "us", "tenant_code": "x", "name": "ada"}]
    with pytest.raises(ConfigurationError, match="looks objects up by 'tenant', but Finding"):
        await FindingFactory.create_async(known=True)


async def test_factory_without_such_an_adapter() -> None:
    """Where the adapter knows of no keys, what is declared and given goes to the model."""

    class PlainAdapter(KeyedAdapter):
        def keys_of(self, model: Any) -> Mapping[str, Mapping[str, str]]:
            return {}

    family = Family(PlainAdapter)
    user = await family.UserFactory.create_async(region="us", tenant_code="x")
    assert family.adapter.stored(Tenant) == [user.tenant]
    assert (user.region, user.tenant_code) == ("us", "x")


async def test_plan_is_kept(family: Family) -> None:
    """An adapter is asked for keys once for the names that calls give, not for each object."""
    asked = []

    class CountingAdapter(KeyedAdapter):
        def keys_of(self, model: Any) -> Mapping[str, Mapping[str, str]]:
            asked.append(model)
            return super().keys_of(model)

    counted = Family(CountingAdapter)
    await counted.UserFactory.create_batch_async(10, region="us", tenant_code="x")
    before = len(asked)
    await counted.UserFactory.create_batch_async(10, region="eu", tenant_code="y")
    assert len(asked) == before


async def test_wrong_answer() -> None:
    """An adapter that lists keys without what they are equal to is told what to return."""

    class WrongAdapter(KeyedAdapter):
        def keys_of(self, model: Any) -> Any:
            return {"tenant": ["region"]}

    with pytest.raises(AdapterError) as caught:
        await Family(WrongAdapter).UserFactory.create_async()
    assert str(caught.value) == (
        "WrongAdapter.keys_of() returned {'tenant': ['region']}; it has to return a mapping of "
        'relations, with a mapping of the keys of each: {"company": {"company_id": "id"}}.'
    )
