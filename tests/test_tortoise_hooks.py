"""What a model of Tortoise overrides, and what it is given: by itself and in a batch."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import datetime, time, timedelta, timezone
from typing import Any

import factory
import pytest
from tortoise import fields
from tortoise.context import TortoiseContext
from tortoise.exceptions import IntegrityError, OperationalError
from tortoise.manager import Manager
from tortoise.models import Model
from tortoise.queryset import QuerySet
from tortoise.signals import Signals, post_save, pre_save
from tortoise.transactions import in_transaction

from async_factory_boy.exceptions import AdapterError, ConfigurationError
from async_factory_boy.factory.tortoise import AsyncTortoiseModelFactory
from tests.servers import Servers
from tests.stores import tortoise as stores
from tests.stores.base import params
from tests.test_tortoise_batches import Statements

THEN = datetime(2020, 2, 3, 4, 5, 6, tzinfo=timezone.utc)


class Plain(Model):
    id = fields.IntField(primary_key=True)
    name = fields.CharField(50, default="none")
    note = fields.CharField(50, default="")

    class Meta:
        table = "hooks_plain"


class OwnCreate(Model):
    id = fields.IntField(primary_key=True)
    name = fields.CharField(50)
    note = fields.CharField(50, default="")

    class Meta:
        table = "hooks_create"

    @classmethod
    async def create(cls, using_db: Any = None, **kwargs: Any) -> Any:
        kwargs["note"] = "by create"
        return await super().create(using_db=using_db, **kwargs)


class InheritedCreate(OwnCreate):
    class Meta:
        table = "hooks_inherited"


class OwnSave(Model):
    id = fields.IntField(primary_key=True)
    name = fields.CharField(50)
    note = fields.CharField(50, default="")
    changed = fields.DatetimeField(auto_now=True)

    class Meta:
        table = "hooks_save"

    async def save(self, *args: Any, **kwargs: Any) -> None:
        self.note = "by save"
        await super().save(*args, **kwargs)


class OwnInit(Model):
    id = fields.IntField(primary_key=True)
    name = fields.CharField(50)
    note = fields.CharField(50, default="")

    class Meta:
        table = "hooks_init"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs, note="by init")


class OwnSetting(Model):
    id = fields.IntField(primary_key=True)
    name = fields.CharField(50)
    note = fields.CharField(50, default="")

    class Meta:
        table = "hooks_setting"

    def __setattr__(self, key: str, value: Any) -> None:
        super().__setattr__(key, "by setattr" if key == "note" else value)


class OwnListening(Model):
    id = fields.IntField(primary_key=True)
    name = fields.CharField(50)
    note = fields.CharField(50, default="")

    class Meta:
        table = "hooks_listening"

    async def _pre_save(self, *args: Any, **kwargs: Any) -> None:
        self.note = "by _pre_save"
        await super()._pre_save(*args, **kwargs)


class Marked(fields.CharField):
    def to_db_value(self, value: Any, instance: Any) -> Any:
        return super().to_db_value(f"db {value}", instance)

    def to_python_value(self, value: Any) -> Any:
        return super().to_python_value(value)


class OwnField(Model):
    id = fields.IntField(primary_key=True)
    name = fields.CharField(50)
    note = Marked(50, default="by field")

    class Meta:
        table = "hooks_field"


class Nothing(Manager):
    def get_queryset(self) -> QuerySet[Any]:
        return super().get_queryset().filter(note="never")


class OwnManager(Model):
    id = fields.IntField(primary_key=True)
    name = fields.CharField(50)
    note = fields.CharField(50, db_default="by database")

    class Meta:
        table = "hooks_manager"
        manager = Nothing()


class OwnBulk(Model):
    id = fields.IntField(primary_key=True)
    name = fields.CharField(50)
    note = fields.CharField(50, default="")

    class Meta:
        table = "hooks_bulk"

    @classmethod
    def bulk_create(cls, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError("a batch is what single calls are")

    async def refresh_from_db(self, *args: Any, **kwargs: Any) -> None:
        raise AssertionError("Model.create() does not refresh")


class Listened(Model):
    id = fields.IntField(primary_key=True)
    name = fields.CharField(50)
    note = fields.CharField(50, default="")

    class Meta:
        table = "hooks_listened"


class Tag(Model):
    slug = fields.CharField(20, primary_key=True)
    posts: fields.ManyToManyRelation[Post]

    class Meta:
        table = "hooks_tag"


class Post(Model):
    id = fields.IntField(primary_key=True)
    title = fields.CharField(50)
    tags: fields.ManyToManyRelation[Tag] = fields.ManyToManyField(
        "hooks.Tag", related_name="posts_tags"
    )
    others: fields.ManyToManyRelation[Plain] = fields.ManyToManyField("hooks.Plain")

    class Meta:
        table = "hooks_post"


class Labelled(Model):
    """Adds its tags in a create() of its own, which takes their names."""

    id = fields.UUIDField(primary_key=True)
    title = fields.CharField(50)
    tags: fields.ManyToManyRelation[Tag] = fields.ManyToManyField(
        "hooks.Tag", related_name="labelled_tags"
    )
    others: fields.ManyToManyRelation[Plain] = fields.ManyToManyField(
        "hooks.Plain", related_name="labelled"
    )

    class Meta:
        table = "hooks_labelled"

    @classmethod
    async def create(cls, tags: Any = (), using_db: Any = None, **kwargs: Any) -> Any:
        made = await super().create(using_db=using_db, **kwargs)
        for slug in tags:
            tag, _ = await Tag.get_or_create(slug=slug, using_db=using_db)
            await made.tags.add(tag, using_db=using_db)
        return made


class Tagging(Model):
    """Adds a tag whenever it is saved."""

    id = fields.IntField(primary_key=True)
    title = fields.CharField(50)
    tags: fields.ManyToManyRelation[Tag] = fields.ManyToManyField(
        "hooks.Tag", related_name="tagging_tags"
    )

    class Meta:
        table = "hooks_tagging"

    async def save(self, *args: Any, **kwargs: Any) -> None:
        await super().save(*args, **kwargs)
        tag, _ = await Tag.get_or_create(slug="saved", using_db=kwargs["using_db"])
        await self.tags.add(tag, using_db=kwargs["using_db"])


class Stamped(Model):
    id = fields.IntField(primary_key=True)
    name = fields.CharField(50)
    added = fields.DatetimeField(auto_now_add=True)
    changed = fields.DatetimeField(auto_now=True)
    state = fields.CharField(20, db_default="new")

    class Meta:
        table = "hooks_stamped"


class StampedByUUID(Model):
    """Has a key by which a batch goes in one INSERT on every server."""

    id = fields.UUIDField(primary_key=True)
    name = fields.CharField(50)
    at = fields.TimeField(auto_now=True)

    class Meta:
        table = "hooks_stamped_uuid"


class StampedByCreate(OwnCreate):
    changed = fields.DatetimeField(auto_now=True)

    class Meta:
        table = "hooks_stamped_create"


@pytest.fixture(params=params(stores.STORES, 2))
async def database(
    request: pytest.FixtureRequest, servers: Servers
) -> AsyncGenerator[TortoiseContext]:
    """Tortoise initialised with the models of this module, on each backend in turn."""
    kind: type[stores.TortoiseStore] = request.param
    url = kind.url(servers, __name__)
    async with stores.opened_context(kind.id, url, __name__, app="hooks") as context:
        yield context


SERVERS = [store for store in stores.STORES if store.concurrent]


@pytest.fixture(params=params(SERVERS, 2))
async def server(
    request: pytest.FixtureRequest, servers: Servers
) -> AsyncGenerator[TortoiseContext]:
    """As `database`, without SQLite."""
    kind: type[stores.TortoiseStore] = request.param
    url = kind.url(servers, __name__)
    async with stores.opened_context(kind.id, url, __name__, app="hooks") as context:
        yield context


@pytest.fixture
async def sqlite(servers: Servers) -> AsyncGenerator[TortoiseContext]:
    """Tortoise initialised on SQLite, for what does not depend on the database."""
    url = stores.SQLite.url(servers, __name__)
    async with stores.opened_context("hooks", url, __name__, app="hooks") as context:
        yield context


def factory_of(model: type[Model], **declarations: Any) -> type[AsyncTortoiseModelFactory[Any]]:
    meta = {k: declarations.pop(k) for k in list(declarations) if k.startswith("tortoise_")}
    return type(AsyncTortoiseModelFactory)(
        f"{model.__name__}Factory",
        (AsyncTortoiseModelFactory,),
        {"Meta": type("Meta", (), {"model": model, **meta}), **declarations},
    )


Make = Callable[..., Awaitable[list[Any]]]


async def by_calls(made_by: Any, **declarations: Any) -> list[Any]:
    return [await made_by.create_async(**declarations) for _ in range(3)]


async def in_a_batch(made_by: Any, **declarations: Any) -> list[Any]:
    made: list[Any] = await made_by.create_batch_async(3, **declarations)
    return made


both = pytest.mark.parametrize("make", [by_calls, in_a_batch])


# --- hooks -----------------------------------------------------------------------------------

HOOKS = [
    (OwnCreate, "by create", 3),
    (InheritedCreate, "by create", 3),
    (OwnSave, "by save", 3),
    (OwnInit, "by init", 1),
    (OwnSetting, "by setattr", 1),
    (OwnListening, "by _pre_save", 3),
    (OwnField, "by field", 1),
    (OwnManager, "by database", 1),
    (OwnBulk, "", 1),
]


@pytest.mark.parametrize(
    ("model", "note", "inserts"), HOOKS, ids=lambda one: one if isinstance(one, str) else None
)
async def test_what_a_model_overrides(
    sqlite: TortoiseContext, model: type[Model], note: str, inserts: int
) -> None:
    """A single call, a batch and Model.create() give the same objects and rows."""
    made_by = factory_of(model, name="x")
    own: Any = await model.create(name="x")
    one = await made_by.create_async()
    statements = Statements()
    with stores.logging_to(statements):
        many = await made_by.create_batch_async(3)
    assert [each.note for each in (own, one, *many)] == [note] * 5
    assert len([sent for sent in statements.sent if sent.startswith("INSERT")]) == inserts
    table = model._meta.db_table
    rows = await sqlite.db().execute_query_dict(f"SELECT * FROM {table} ORDER BY id")
    assert [row["id"] for row in rows] == [each.pk for each in (own, one, *many)]
    assert len({row["note"] for row in rows}) == 1


async def test_listeners(sqlite: TortoiseContext) -> None:
    """Listeners see the objects of a batch as those of single calls, and may change them."""
    seen: list[tuple[Any, ...]] = []

    async def before(sender: Any, instance: Any, using_db: Any, update_fields: Any) -> None:
        instance.note = f"for {instance.name}"
        seen.append((sender, instance.name, instance.pk is None, update_fields))

    async def after(sender: Any, instance: Any, new: bool, using_db: Any, names: Any) -> None:
        seen.append((sender, instance.name, instance.pk is None, new, names))

    pre_save(Listened)(before)
    post_save(Listened)(after)
    made_by = factory_of(Listened, name="x")
    try:
        made = [await made_by.create_async()]
        of_one = list(seen)
        seen.clear()
        made += await made_by.create_batch_async(2)
    finally:
        for signal in (Signals.pre_save, Signals.post_save):
            Model._listeners[signal].pop(Listened)
    assert [each.note for each in made] == ["for x"] * 3
    assert sorted(seen, key=len) == sorted(of_one * 2, key=len)
    assert await Listened.filter(note="for x").count() == 3


@both
async def test_overridden_create_in_a_transaction(database: TortoiseContext, make: Make) -> None:
    """An overridden create() is given the connection in use, and its own rows are found."""
    async with in_transaction() as connection:
        made = await make(factory_of(OwnCreate, name="x"))
        await make(factory_of(OwnCreate, name="x"), tortoise_using_db=connection)
        assert [each.note for each in made] == ["by create"] * 3
        assert await OwnCreate.all().count() == 6
        await connection.rollback()
    assert await OwnCreate.all().count() == 0


@both
async def test_get_or_create_with_an_overridden_create(sqlite: TortoiseContext, make: Make) -> None:
    """get_or_create stores what is missing by an overridden create()."""
    made = await make(factory_of(OwnCreate, name="x", tortoise_get_or_create=("name",)))
    assert {each.note for each in made} == {"by create"}
    assert await OwnCreate.all().count() == 1


@both
async def test_create_that_takes_no_connection(
    sqlite: TortoiseContext, monkeypatch: pytest.MonkeyPatch, make: Make
) -> None:
    """A create() without using_db works on Tortoise's connection, and is refused on another."""

    async def make_plain(cls: Any, *, name: str) -> Any:
        made = cls(name=f"{name} made")
        await made.save(force_create=True)
        return made

    monkeypatch.setattr(Plain, "create", classmethod(make_plain))
    made_by = factory_of(Plain, name="x")
    assert [each.name for each in await make(made_by)] == ["x made"] * 3
    pool = sqlite.db()
    async with in_transaction():
        with pytest.raises(AdapterError, match=r"^Plain.create\(\) does not take using_db"):
            await make(made_by, tortoise_using_db=pool)


@both
async def test_create_that_returns_nothing(
    sqlite: TortoiseContext, monkeypatch: pytest.MonkeyPatch, make: Make
) -> None:
    """A create() that returns no object is named in the error."""

    async def create(cls: Any, **kwargs: Any) -> None:
        pass

    monkeypatch.setattr(Plain, "create", classmethod(create))
    with pytest.raises(AdapterError, match=r"^Plain.create\(\) returned an object of type NoneTyp"):
        await make(factory_of(Plain, name="x"))


async def test_object_that_no_factory_built(sqlite: TortoiseContext) -> None:
    """The adapter stores an object that it did not build by save(): create() makes its own."""
    adapter = factory_of(OwnCreate, name="x")._meta.adapter_for_storing()
    one = OwnCreate(name="x")
    assert await adapter.save(one) is one
    assert (one.note, await OwnCreate.all().count()) == ("", 1)


# --- lookups ---------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("name", ["pk", "id"])
async def test_get_or_create_by_the_key(database: TortoiseContext, make: Make, name: str) -> None:
    """get_or_create by the key, under its name or as pk, stores it as given, and finds it."""
    made_by = factory_of(Plain, name="x", tortoise_get_or_create=(name,))
    first = await make(made_by, **{name: 20})
    again = await make(made_by, **{name: 20})
    assert {each.pk for each in (*first, *again)} == {20}
    assert await Plain.all().count() == 1


@both
async def test_pk(database: TortoiseContext, make: Make) -> None:
    """Pk is another name of the key, which the constructor of a model passes over."""
    numbers = iter(range(7, 10))
    made = await make(factory_of(Plain, pk=factory.LazyFunction(lambda: next(numbers))))
    assert [each.id for each in made] == [7, 8, 9]
    assert factory_of(Tag).build(pk="red").slug == "red"


@both
async def test_pk_beside_the_key(sqlite: TortoiseContext, make: Make) -> None:
    """The key is refused as pk beside its own name."""
    with pytest.raises(ConfigurationError, match=r"^Plain\.pk is another name of 'id', which has"):
        await make(factory_of(Plain, id=3), pk=4)


# --- many-to-many relations ------------------------------------------------------------------

TagFactory = factory_of(Tag, slug=factory.Sequence(lambda n: f"tag{n}"))


@both
async def test_many_to_many_list(database: TortoiseContext, make: Make) -> None:
    """Objects that a factory declares for many-to-many relations are added, and can be read."""
    plain = await factory_of(Plain).create_async()
    made_by = factory_of(
        Post,
        title="x",
        tags=factory.List([factory.SubFactory(TagFactory), factory.SubFactory(TagFactory)]),
        others=factory.LazyFunction(lambda: [plain, plain]),
    )
    for post in await make(made_by):
        slugs = [tag.slug for tag in post.tags]
        assert len(slugs) == 2
        assert sorted([tag.slug for tag in await post.tags.all()]) == sorted(slugs)
        assert [one.pk for one in post.others] == [plain.pk] * 2
        assert await post.others.all() == [plain]


@both
async def test_many_to_many_from_the_other_side(database: TortoiseContext, make: Make) -> None:
    """A many-to-many relation may be given from the side that does not declare it."""
    post = await factory_of(Post, title="x").create_async()
    made = await make(TagFactory, posts_tags=[post])
    assert await post.tags.all().count() == 3
    assert [list(tag.posts_tags) for tag in made] == [[post]] * 3


async def test_many_to_many_statements(database: TortoiseContext) -> None:
    """A batch adds all that its objects are given to a relation by one INSERT."""
    tags = await TagFactory.create_batch_async(3)
    made_by = factory_of(Post, title="x", tags=tags)
    statements = Statements()
    with stores.logging_to(statements):
        async with in_transaction():
            posts = await made_by.create_batch_async(50)
    through = [one for one in statements.texts if "hooks_post_hooks_tag" in one]
    assert [one.split()[0] for one in through] == ["SELECT", "INSERT"]
    assert await tags[0].posts_tags.all().count() == len(posts) == 50


async def test_many_to_many_of_no_objects(sqlite: TortoiseContext) -> None:
    """An empty list takes no statement, and can be read."""
    statements = Statements()
    with stores.logging_to(statements):
        post = await factory_of(Post, title="x", tags=[]).create_async()
    assert statements.sent == ["INSERT INTO hooks_post"]
    assert list(post.tags) == []


@both
async def test_many_to_many_of_found_objects(sqlite: TortoiseContext, make: Make) -> None:
    """An object that get_or_create finds keeps the relations that it has."""
    made_by = factory_of(Post, title="x", tortoise_get_or_create=("title",))
    red, blue = await TagFactory.create_batch_async(2)
    first = await made_by.create_async(tags=[red])
    again = await make(made_by, tags=[blue])
    assert {post.pk for post in again} == {first.pk}
    assert await first.tags.all() == [red]


@both
async def test_many_to_many_with_what_is_added_by_save(
    database: TortoiseContext, make: Make
) -> None:
    """What an overridden save() has added to a relation is not added twice."""
    saved = await TagFactory.create_async(slug="saved")
    more = await TagFactory.create_async(slug="more")
    for one in await make(factory_of(Tagging, title="x", tags=[saved, more])):
        assert sorted(tag.slug for tag in await one.tags.all()) == ["more", "saved"]


@both
async def test_many_to_many_that_create_takes(sqlite: TortoiseContext, make: Make) -> None:
    """What an overridden create() has a parameter for, it is given; the rest is added."""
    plain = await factory_of(Plain).create_async()
    made = await make(factory_of(Labelled, title="x", tags=["a", "b"], others=[plain]))
    for one in made:
        assert sorted(tag.slug for tag in await one.tags.all()) == ["a", "b"]
        assert await one.others.all() == [plain]


@both
async def test_many_to_many_of_objects_that_are_not_stored(
    sqlite: TortoiseContext, make: Make
) -> None:
    """Objects that are not stored are refused before anything is stored."""
    made_by = factory_of(Post, title="x", tags=factory.LazyFunction(lambda: [Tag(slug="new")]))
    with pytest.raises(AdapterError) as caught:
        await make(made_by)
    assert str(caught.value) == (
        "Post.tags was given a Tag that is not stored. Have the factory create it, "
        "tags = factory.List([factory.SubFactory(TagFactory)]), or pass what "
        "await TagFactory.create_async() returns."
    )
    assert await Post.all().count() == 0


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (None, "takes a list of Tag objects; got an object of type NoneType."),
        (["red"], "takes a list of Tag objects; got an object of type str in it."),
        ("red", "takes a list of Tag objects; got an object of type str."),
    ],
    ids=["None", "text in it", "text"],
)
async def test_many_to_many_of_something_else(
    sqlite: TortoiseContext, given: Any, text: str
) -> None:
    """What is no list of objects of the related model is refused, whatever the strategy."""
    made_by = factory_of(Post, title="x", tags=factory.LazyFunction(lambda: given))
    for make in (made_by.create_async, made_by.build_async):
        with pytest.raises(ConfigurationError) as caught:
            await make()
        assert str(caught.value) == f"Post.tags is a many-to-many relation, which {text}"


async def test_get_or_create_by_a_many_to_many_relation(sqlite: TortoiseContext) -> None:
    """get_or_create by a many-to-many relation is refused."""
    made_by = factory_of(Post, title="x", tags=[], tortoise_get_or_create=("tags",))
    with pytest.raises(ConfigurationError, match="names 'tags', a many-to-many relation, which"):
        await made_by.create_async()


async def test_building_with_a_many_to_many_list(sqlite: TortoiseContext) -> None:
    """What is built holds the objects that its relation was given, and they hold it."""
    made_by = factory_of(
        Post, title="x", tags=factory.List([factory.SubFactory(TagFactory, slug="new")])
    )
    for post in (made_by.build(), await made_by.build_async()):
        assert [tag.slug for tag in post.tags] == ["new"]
        assert list(post.tags[0].posts_tags) == [post]
    assert await Tag.all().count() == 0
    await post.save()
    with pytest.raises(OperationalError, match=r"first call \.save"):
        await post.tags.add(*post.tags)
    await post.tags[0].save()
    await post.tags.add(*post.tags)
    assert await Post.get(tags__slug="new") == post


async def test_many_to_many_that_the_database_refuses(sqlite: TortoiseContext) -> None:
    """In a transaction, get_or_create undoes an object whose relation is refused."""
    gone = await TagFactory.create_async()
    await Tag.filter(slug=gone.slug).delete()
    made_by = factory_of(Post, title="x", tags=[gone], tortoise_get_or_create=("title",))
    async with in_transaction():
        with pytest.raises(IntegrityError):
            await made_by.create_async()
        assert await Post.all().count() == 0


# --- what is given ---------------------------------------------------------------------------


@both
@pytest.mark.parametrize("isolated", [True, False], ids=["transaction", "no transaction"])
async def test_given_values(database: TortoiseContext, make: Make, isolated: bool) -> None:
    """Values for what Tortoise or the database would fill in are stored as given."""
    keys = iter((30, 20, 10))
    made_by = factory_of(
        Stamped,
        id=factory.LazyFunction(lambda: next(keys)),
        name="x",
        added=THEN,
        changed=THEN + timedelta(days=1),
        state="old",
    )
    if isolated:
        async with in_transaction():
            made = await make(made_by)
    else:
        made = await make(made_by)
    stored = {each.pk: each for each in await Stamped.all()}
    assert [each.pk for each in made] == [30, 20, 10]
    for each in (*made, *stored.values()):
        assert (each.added, each.changed) == (THEN, THEN + timedelta(days=1))
        assert each.state == "old"


@both
async def test_given_to_some(database: TortoiseContext, make: Make) -> None:
    """A field with auto_now is filled in where it is given nothing, and when saved again."""

    class StampedFactory(AsyncTortoiseModelFactory[Stamped]):
        class Meta:
            exclude = ("given",)

        name = "x"
        given = factory.Sequence(lambda n: n % 2 == 0)
        changed = factory.Maybe("given", THEN)

    StampedFactory.reset_sequence(0)
    made = await make(StampedFactory)
    stored = {each.pk: each for each in await Stamped.all()}
    for each in (made, [stored[each.pk] for each in made]):
        assert [one.changed == THEN for one in each] == [True, False, True]
        assert min(each[1].changed, each[1].added).year > 2020
    await made[0].save()
    assert made[0].changed.year > 2020


@both
async def test_given_times(server: TortoiseContext, make: Make) -> None:
    """A TimeField, of which Tortoise stores none on SQLite, keeps what it is given."""
    await make(factory_of(StampedByUUID, name="x", at=time(4, 5, 6, tzinfo=timezone.utc)))
    for each in await StampedByUUID.all():
        shown = each.at if isinstance(each.at, timedelta) else each.at.replace(tzinfo=None)
        assert shown in (time(4, 5, 6), timedelta(hours=4, minutes=5, seconds=6))


@both
@pytest.mark.parametrize("model", [OwnSave, StampedByCreate])
async def test_given_to_what_is_overridden(
    database: TortoiseContext, make: Make, model: Any
) -> None:
    """A model with a save() or create() of its own keeps what a field with auto_now is given."""
    made = await make(factory_of(model, name="x", changed=THEN))
    assert {each.changed for each in (*made, *await model.all())} == {THEN}
    assert {each.note for each in made} <= {"by save", "by create"}
