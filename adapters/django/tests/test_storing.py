"""How objects are stored: one, and many at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import datetime, timezone
from typing import Any

import factory
import pytest
from asgiref.sync import sync_to_async
from async_factory_boy_django import AsyncDjangoModelFactory, DjangoAdapter
from django.contrib.auth.hashers import check_password
from django.contrib.auth.models import User as AuthUser
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import SynchronousOnlyOperation
from django.db import IntegrityError, connections
from django.db.models import Value
from django.db.models.functions import Now, Upper
from django.db.models.signals import post_save

from async_factory_boy import bind
from async_factory_boy.factory import AsyncFactory
from tests.shop import models
from tests.shop.factories import CompanyFactory, PostFactory, UserFactory
from tests.shop.models import Company, Post, User

pytestmark = pytest.mark.django_db(databases="__all__")


class CountryFactory(AsyncDjangoModelFactory[models.Country]):
    class Meta:
        model = models.Country

    code = factory.Iterator(["AT", "BE", "CH", "DE"])


class DocumentFactory(AsyncDjangoModelFactory[models.Document]):
    class Meta:
        model = models.Document

    file = factory.django.FileField(filename="a.txt", data=b"content")
    image = factory.django.ImageField(width=7, height=3)


class InvoiceFactory(AsyncDjangoModelFactory[models.Invoice]):
    class Meta:
        model = models.Invoice

    number = factory.Sequence(lambda n: "1" * (n + 1))


class RestaurantFactory(AsyncDjangoModelFactory[models.Restaurant]):
    class Meta:
        model = models.Restaurant

    name = factory.Sequence(lambda n: f"restaurant{n}")
    stars = 3


class SluggedFactory(AsyncDjangoModelFactory[models.Slugged]):
    class Meta:
        model = models.Slugged

    name = "Ada Lovelace"


@pytest.fixture(autouse=True)
def sequences() -> None:
    for one in (CompanyFactory, UserFactory, PostFactory, InvoiceFactory, RestaurantFactory):
        one.reset_sequence(0, force=True)


async def test_object_is_stored(alias: str) -> None:
    """What a call returns is stored, with its key, in the database that is asked for."""
    company = await CompanyFactory.create_async(size=3)
    assert (company.pk is not None, company._state.db, company._state.adding) == (
        True,
        alias,
        False,
    )
    assert await Company.objects.using(alias).values_list("name", "size").aget() == (
        "company0",
        3,
    )


async def test_graph_is_stored(alias: str) -> None:
    """A SubFactory's object is stored first, and what refers to it needs no query to read it."""
    post = await PostFactory.create_async(author__company__name="ACME")
    assert post.author.company.name == "ACME"
    assert post.author.company_key == post.author.company.pk
    stored = await Post.objects.using(alias).select_related("author__company").aget()
    assert stored.author.company == post.author.company


async def test_related_factories_are_stored(alias: str, statements: list[str]) -> None:
    """RelatedFactoryList stores its objects in one statement."""

    class AuthorFactory(UserFactory):
        posts = factory.RelatedFactoryList(PostFactory, "author", size=3)

    user = await AuthorFactory.create_async()
    assert [one.title async for one in user.posts.order_by("pk")] == ["post0", "post1", "post2"]
    assert statements.count("INSERT INTO shop_post") == 1


async def test_hook_uses_the_async_orm(alias: str) -> None:
    """An async hook fills a many-to-many relation, and one that is not async is told to be."""

    class TaggedUserFactory(UserFactory):
        @factory.post_generation
        async def tag(self: Any, create: bool, extracted: Any) -> None:
            await self.tags.aadd(await models.Tag.objects.using(alias).acreate(name="new"))

        @factory.post_generation
        def blocking(self: Any, create: bool, extracted: bool) -> None:
            if extracted:
                self.tags.clear()

    users = await TaggedUserFactory.create_batch_async(2)
    assert [await user.tags.acount() for user in users] == [1, 1]
    with pytest.raises(SynchronousOnlyOperation):
        await TaggedUserFactory.create_async(blocking=True)


async def test_batch_takes_a_statement_per_level(alias: str, statements: list[str]) -> None:
    """A batch is stored by one INSERT for each model, with keys in the order of the objects."""
    posts = await PostFactory.create_batch_async(20)
    assert statements == [
        "INSERT INTO shop_company",
        "INSERT INTO shop_user",
        "INSERT INTO shop_post",
    ]
    assert [post.title for post in posts] == [f"post{n}" for n in range(20)]
    keys = [post.pk for post in posts]
    assert keys == sorted(keys)
    stored = Post.objects.using(alias).order_by("pk").values_list("pk", "author__company__name")
    assert [one async for one in stored] == [(post.pk, post.author.company.name) for post in posts]
    assert {post._state.db for post in posts} == {alias}


async def test_batch_and_loop_store_the_same(alias: str) -> None:
    """What a batch stores is what a loop does."""

    async def rows() -> list[dict[str, Any]]:
        rows = [row async for row in invoices.values("number", "state", "length").order_by("pk")]
        await invoices.adelete()
        return rows

    invoices = models.Invoice.objects.using(alias)
    await InvoiceFactory.create_batch_async(3)
    batch = await rows()
    InvoiceFactory.reset_sequence(0)
    for _ in range(3):
        await InvoiceFactory.create_async()
    assert batch == await rows() != []


@pytest.mark.parametrize("size", [1, 3])
async def test_keys_that_are_not_numbers(alias: str, statements: list[str], size: int) -> None:
    """Keys that Python makes up, and keys that are given, are stored as they are."""
    documents = await DocumentFactory.create_batch_async(size)
    assert {one.pk async for one in models.Document.objects.using(alias)} == {
        one.pk for one in documents
    }
    countries = await CountryFactory.create_batch_async(size)
    codes = models.Country.objects.using(alias).values_list("code", flat=True)
    assert [code async for code in codes.order_by("code")] == [one.pk for one in countries]
    assert statements.count("INSERT INTO shop_document") == 1
    assert statements.count("INSERT INTO shop_country") == 1


@pytest.mark.parametrize("in_a_batch", [False, True], ids=["loop", "batch"])
async def test_given_keys_among_others(alias: str, in_a_batch: bool) -> None:
    """Objects with and without a given key are stored in their order, as by a loop."""

    class TagFactory(AsyncDjangoModelFactory[models.Tag]):
        class Meta:
            model = models.Tag

        id = factory.Iterator([None, 1000, None, None])
        name = factory.Sequence(lambda n: f"tag{n}")

    if in_a_batch:
        tags = await TagFactory.create_batch_async(4)
    else:
        tags = [await TagFactory.create_async() for _ in range(4)]
    made_up = [tag.pk - tags[0].pk for tag in tags if tag.pk != 1000]
    assert tags[1].pk == 1000
    if alias == "postgresql":
        assert made_up == [0, 1, 2]
    else:  # which counts on from the highest key
        assert made_up == [0, 1001 - tags[0].pk, 1002 - tags[0].pk]
    stored = models.Tag.objects.using(alias).values_list("pk", "name")
    assert {row async for row in stored} == {(tag.pk, tag.name) for tag in tags}


@pytest.mark.parametrize("size", [1, 2])
async def test_files(alias: str, size: int) -> None:
    """Files and images are put into their storage, and the size of an image into its field."""
    for document in await DocumentFactory.create_batch_async(size):
        assert document.file.name.startswith("a")
        with document.file.open() as file:
            assert file.read() == b"content"
        assert (document.width, document.image.height) == (7, 3)
        stored = await models.Document.objects.using(alias).aget(pk=document.pk)
        assert (stored.file.name, stored.width) == (document.file.name, 7)


async def test_password(alias: str) -> None:
    """A Password is stored hashed."""

    class PasswordUserFactory(UserFactory):
        password = factory.django.Password("secret")

    user = await PasswordUserFactory.create_async()
    other = await PasswordUserFactory.create_async(password="other")
    assert check_password("secret", user.password)
    assert check_password("other", other.password)


@pytest.mark.parametrize("size", [1, 3])
async def test_values_of_the_database_are_loaded(
    alias: str, statements: list[str], size: int
) -> None:
    """Defaults and generated values of the database can be read, and cost no statement."""
    invoices = await InvoiceFactory.create_batch_async(size)
    assert [(one.state, one.length) for one in invoices] == [("open", n + 1) for n in range(size)]
    assert all(isinstance(one.created, datetime) for one in invoices)
    assert statements == ["INSERT INTO shop_invoice"]


@pytest.fixture
async def without_returning(rollback: None) -> AsyncGenerator[None]:
    """Have SQLite return nothing from an INSERT, as before 3.35, and as MySQL does."""

    def set_to(value: bool) -> None:
        connections["default"].features.can_return_columns_from_insert = value

    await sync_to_async(set_to)(False)
    yield
    await sync_to_async(set_to)(True)


@pytest.mark.parametrize("size", [1, 3])
async def test_database_that_returns_nothing(without_returning: None, size: int) -> None:
    """Without RETURNING, objects have their keys, and the values that the database makes up."""
    invoices = await InvoiceFactory.create_batch_async(size)
    rows = models.Invoice.objects.values_list("pk", "number", "state", "length", "created")
    assert [row async for row in rows.order_by("pk")] == [
        (one.pk, one.number, one.state, one.length, one.created) for one in invoices
    ]
    documents = await DocumentFactory.create_batch_async(size)
    keys = [one.pk for one in documents]
    assert await models.Document.objects.filter(pk__in=keys).acount() == size


async def test_given_keys_where_nothing_is_returned(
    without_returning: None, statements: list[str]
) -> None:
    """Without RETURNING, a batch whose keys are known is stored in one statement all the same."""
    await DocumentFactory.create_batch_async(3)
    assert statements == ["INSERT INTO shop_document"]


@pytest.mark.parametrize("size", [1, 2])
async def test_key_that_is_taken(alias: str, size: int) -> None:
    """An object is inserted, as by create(): one with a key that is taken overwrites nothing."""
    await CountryFactory.create_async(code="AT")
    with pytest.raises(IntegrityError):
        await CountryFactory.create_batch_async(size, code=factory.Iterator(["AT", "XX"]))


@pytest.mark.parametrize("size", [1, 3])
async def test_values_of_expressions_are_loaded(
    alias: str, statements: list[str], size: int
) -> None:
    """A field that was given an expression has its value, which takes one more statement."""
    invoices = await InvoiceFactory.create_batch_async(
        size, number=Upper(Value("paid")), created=Now()
    )
    assert {one.number for one in invoices} == {"PAID"}
    assert all(abs(datetime.now(timezone.utc) - one.created).seconds < 60 for one in invoices)
    assert statements == ["INSERT INTO shop_invoice", "SELECT shop_invoice.id AS"]


async def test_key_that_is_not_of_its_type(alias: str) -> None:
    """A key may be given as a string, as Django allows, and values are loaded all the same."""
    invoice = await InvoiceFactory.create_async(pk="70", number=Upper(Value("paid")))
    assert invoice.number == "PAID"


async def test_deferred_field_is_loaded(alias: str) -> None:
    """A field that a manager leaves out can be read on what get_or_create finds."""

    class ByNumberFactory(AsyncDjangoModelFactory[models.Deferred]):
        class Meta:
            model = models.Deferred
            django_get_or_create = ("number",)

        number = 1
        text = "long"

    await ByNumberFactory.create_async()
    assert (await ByNumberFactory.create_async(text="other")).text == "long"


async def test_expression_of_a_hook_is_loaded(alias: str) -> None:
    """What a hook has stored by an expression is loaded before the call returns."""

    class PaidFactory(InvoiceFactory):
        @factory.post_generation
        async def pay(self: Any, create: bool, extracted: Any) -> None:
            self.state = Upper(Value("paid"))
            await self.asave()

    invoices = await PaidFactory.create_batch_async(2)
    assert [one.state for one in invoices] == ["PAID", "PAID"]


async def test_model_of_two_tables(alias: str, statements: list[str]) -> None:
    """A batch of a model that inherits another's table is stored one by one."""
    restaurants = await RestaurantFactory.create_batch_async(2)
    assert statements == ["INSERT INTO shop_place", "INSERT INTO shop_restaurant"] * 2
    rows = models.Restaurant.objects.using(alias).values_list("pk", "name", "stars")
    assert [row async for row in rows.order_by("pk")] == [
        (one.pk, one.name, 3) for one in restaurants
    ]


async def test_proxy_model(alias: str, statements: list[str]) -> None:
    """A batch of a proxy model is stored in one statement."""

    class VenueFactory(AsyncDjangoModelFactory[models.Venue]):
        class Meta:
            model = models.Venue

        name = factory.Sequence(lambda n: f"venue{n}")

    venues = await VenueFactory.create_batch_async(2)
    assert {type(one) for one in venues} == {models.Venue}
    assert statements == ["INSERT INTO shop_place"]


@pytest.mark.parametrize("size", [1, 3])
async def test_overridden_save_base(alias: str, size: int) -> None:
    """So is what save() calls in turn."""

    class CountedFactory(AsyncDjangoModelFactory[models.Counted]):
        class Meta:
            model = models.Counted

    counted = await CountedFactory.create_batch_async(size)
    assert [one.saved for one in counted] == [1] * size
    assert await models.Counted.objects.using(alias).filter(saved=1).acount() == size


@pytest.mark.parametrize("size", [1, 3])
async def test_overridden_save(alias: str, size: int) -> None:
    """An overridden save() is called for each object."""
    for one in await SluggedFactory.create_batch_async(size):
        assert one.slug == "ada-lovelace"
        assert await models.Slugged.objects.using(alias).filter(pk=one.pk, slug=one.slug).aexists()


async def test_order_with_respect_to(alias: str) -> None:
    """Objects that are ordered with respect to another are given their places."""

    class ChapterFactory(AsyncDjangoModelFactory[models.Chapter]):
        class Meta:
            model = models.Chapter

    book = await models.Place.objects.using(alias).acreate(name="book")
    chapters = await ChapterFactory.create_batch_async(3, book=book)
    assert [one._order for one in chapters] == [0, 1, 2]


@pytest.mark.parametrize("sender", [None, Company])
async def test_signals_of_a_batch(
    alias: str, statements: list[str], sender: type[Company] | None
) -> None:
    """Where somebody listens to a signal, it is sent for each object of a batch."""
    heard: list[tuple[str, bool, str]] = []

    def listen(instance: Any, created: bool, using: str, **_: object) -> None:
        heard.append((instance.name, created, using))

    post_save.connect(listen, sender=sender)
    try:
        await CompanyFactory.create_batch_async(2)
    finally:
        post_save.disconnect(listen, sender=sender)
    assert heard == [("company0", True, alias), ("company1", True, alias)]
    assert len(statements) == 2


async def test_signals_of_another_model(alias: str, statements: list[str]) -> None:
    """A signal that is listened to for another model does not slow a batch down."""

    def listen(**_: object) -> None:
        raise AssertionError("this is of no user")

    post_save.connect(listen, sender=User)
    try:
        await CompanyFactory.create_batch_async(2)
    finally:
        post_save.disconnect(listen, sender=User)
    assert len(statements) == 1


async def test_async_receiver(alias: str) -> None:
    """A receiver may be async, and use the async ORM."""
    seen = []

    async def listen(instance: Company, **_: object) -> None:
        seen.append(await Company.objects.using(alias).aget(pk=instance.pk))

    post_save.connect(listen, sender=Company)
    try:
        companies = await CompanyFactory.create_batch_async(2)
    finally:
        post_save.disconnect(listen, sender=Company)
    assert seen == companies


@pytest.mark.parametrize(
    ("model", "name"), [(models.Loud, "ADA"), (models.Quiet, "quiet")], ids=["manager", "queryset"]
)
async def test_manager_that_overrides_create(alias: str, model: type[Any], name: str) -> None:
    """A manager's own create() is called, for objects of a batch too."""

    class NamedFactory(AsyncDjangoModelFactory[Any]):
        class Meta:
            pass

        name = "Ada"

    made_for_model = factory.make_factory(model, FACTORY_CLASS=NamedFactory)
    made = [await made_for_model.create_async(), *await made_for_model.create_batch_async(2)]
    assert [one.name for one in made] == [name] * 3
    assert await model.objects.using(alias).filter(name=name).acount() == 3


async def test_argument_of_the_manager(alias: str) -> None:
    """A manager's create() may take what is no field of the model."""

    class LoudFactory(AsyncDjangoModelFactory[models.Loud]):
        class Meta:
            model = models.Loud

        name = "Ada"

    assert (await LoudFactory.create_async(loudly=False)).name == "Ada"


async def test_another_method_of_the_manager(alias: str) -> None:
    """_create() may be overridden to call another method of the manager, as for factory_boy."""

    class AuthUserFactory(AsyncDjangoModelFactory[AuthUser]):
        class Meta:
            model = AuthUser

        username = factory.Sequence(lambda n: f"user{n}")

        @classmethod
        async def _create(cls, model_class: Any, *args: Any, **kwargs: Any) -> AuthUser:
            return await cls._get_manager(model_class).acreate_user(*args, **kwargs)

    user = await AuthUserFactory.create_async(password="secret")
    assert user._state.db == alias
    assert user.check_password("secret")


async def test_generic_relation(alias: str) -> None:
    """The content type of a generic relation can be awaited."""
    content_types = ContentType.objects.db_manager(alias)

    class NoteFactory(AsyncDjangoModelFactory[models.Note]):
        class Meta:
            model = models.Note

        class Params:
            subject = factory.SubFactory(CompanyFactory)

        object_id = factory.SelfAttribute("subject.pk")
        content_type = factory.LazyAttribute(
            lambda note: sync_to_async(content_types.get_for_model)(note.subject)
        )

    notes = await NoteFactory.create_batch_async(2)
    subjects = [await sync_to_async(lambda one=one: one.about)() for one in notes]
    assert [one.name for one in subjects] == ["company0", "company1"]


async def test_factory_that_is_not_async(alias: str) -> None:
    """A factory of factory_boy's in a graph is refused by Django itself."""

    class OldCompanyFactory(factory.django.DjangoModelFactory):
        class Meta:
            model = Company

        name = "ACME"
        size = 1

    class MixedFactory(UserFactory):
        company = factory.SubFactory(OldCompanyFactory)

    with pytest.raises(SynchronousOnlyOperation):
        await MixedFactory.create_async()


async def test_refused_object(alias: str) -> None:
    """What the database raises passes untouched."""
    await CompanyFactory.create_async(name="ACME")
    with pytest.raises(IntegrityError) as caught:
        await CompanyFactory.create_async(name="ACME")
    assert type(caught.value) is IntegrityError


async def test_tasks_at_once(alias: str) -> None:
    """Tasks may create at the same time."""
    users = await asyncio.gather(*(UserFactory.create_async() for _ in range(10)))
    assert len({user.pk for user in users}) == 10


async def test_build_stores_nothing(alias: str, statements: list[str]) -> None:
    """build_async() and build() need no database."""
    built = [await UserFactory.build_async(company_key=1), UserFactory.build(company_key=1)]
    assert [(one.pk, one.company.pk) for one in built] == [(None, None)] * 2
    assert statements == []


@pytest.mark.parametrize("save", [True, False])
async def test_saving_after_hooks(alias: str, save: bool) -> None:
    """A change that a hook makes is stored by Meta.skip_postgeneration_save = False only."""

    class RenamedFactory(CompanyFactory):
        class Meta:
            skip_postgeneration_save = not save

        @factory.post_generation
        def rename(self: Any, create: bool, extracted: Any) -> None:
            self.size += 1

    companies = await RenamedFactory.create_batch_async(2)
    assert [one.size for one in companies] == [11, 11]
    sizes = Company.objects.using(alias).values_list("size", flat=True)
    assert [size async for size in sizes] == [11 if save else 10] * 2


async def test_no_saving_after_hooks_by_default(alias: str) -> None:
    """Nothing is saved after hooks, unless the factory asks for it."""
    assert CompanyFactory._meta.skip_postgeneration_save


async def test_adapter_of_a_plain_factory(alias: str) -> None:
    """The adapter serves an AsyncFactory as well."""

    class PlainFactory(AsyncFactory[Company]):
        class Meta:
            model = Company
            adapter = DjangoAdapter(get_or_create=("name",))

        name = "ACME"
        size = 1

    first, second = await PlainFactory.create_batch_async(2)
    assert first is second
    assert await PlainFactory.create_async() == first


async def test_databases(rollback: None) -> None:
    """The call's database comes before the bound one, and that before Meta.database."""

    class ElsewhereFactory(CompanyFactory):
        class Meta:
            database = "postgresql"

    assert (await CompanyFactory.create_async())._state.db == "default"
    assert (await ElsewhereFactory.create_async())._state.db == "postgresql"
    with bind(django_database="default"):
        assert (await ElsewhereFactory.create_async())._state.db == "default"
        there = await ElsewhereFactory.create_async(django_database="postgresql")
        assert there._state.db == "postgresql"
    user = await UserFactory.create_async(django_database="postgresql")
    assert user.company._state.db == "postgresql"


class ToPostgreSQL:
    """A router."""

    def db_for_write(self, model: type[Any], **_: object) -> str | None:
        return "postgresql" if model is Company else None


async def test_router(rollback: None, settings: Any) -> None:
    """Where no database is asked for, the routers choose it."""
    settings.DATABASE_ROUTERS = [ToPostgreSQL()]
    assert (await CompanyFactory.create_async())._state.db == "postgresql"
    assert (await CountryFactory.create_async(code="AT"))._state.db == "default"
