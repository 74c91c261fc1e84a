"""The models that the tests store."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib.contenttypes.fields import GenericForeignKey
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.db.models.functions import Length, Now


class Company(models.Model):
    name = models.CharField(max_length=50, unique=True)
    size = models.IntegerField()


class Tag(models.Model):
    name = models.CharField(max_length=50)


class User(models.Model):
    name = models.CharField(max_length=50)
    company = models.ForeignKey(Company, models.CASCADE)
    company_key = models.BigIntegerField(null=True)
    password = models.CharField(max_length=100, default="")
    tags = models.ManyToManyField(Tag)


class Post(models.Model):
    title = models.CharField(max_length=50)
    author = models.ForeignKey(User, models.CASCADE, related_name="posts")


class Document(models.Model):
    """Its key is made by Python."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    file = models.FileField()
    image = models.ImageField(width_field="width")
    width = models.IntegerField(null=True)


class Country(models.Model):
    """Its key is given."""

    code = models.CharField(primary_key=True, max_length=2)


class Invoice(models.Model):
    """Has values that the database makes up."""

    number = models.CharField(max_length=50)
    created = models.DateTimeField(db_default=Now())
    state = models.CharField(max_length=10, db_default="open")
    length = models.GeneratedField(
        expression=Length("number"), output_field=models.IntegerField(), db_persist=True
    )


class Place(models.Model):
    name = models.CharField(max_length=50)


class Restaurant(Place):
    """Is stored in two tables."""

    stars = models.IntegerField(default=0)


class Venue(Place):
    class Meta:
        proxy = True


class Slugged(models.Model):
    """Overrides save()."""

    name = models.CharField(max_length=50)
    slug = models.CharField(max_length=50)

    def save(self, *args: object, **kwargs: object) -> None:
        self.slug = self.name.lower().replace(" ", "-")
        super().save(*args, **kwargs)


class Counted(models.Model):
    """Overrides what save() calls."""

    saved = models.IntegerField(default=0)

    def save_base(self, *args: object, **kwargs: object) -> None:
        self.saved += 1
        super().save_base(*args, **kwargs)


class LoudManager(models.Manager["Loud"]):
    def create(self, *, name: str, loudly: bool = True) -> Loud:
        return super().create(name=name.upper() if loudly else name)


class QuietQuerySet(models.QuerySet["Quiet"]):
    def create(self, **kwargs: object) -> Quiet:
        return super().create(**{**kwargs, "name": "quiet"})


class Loud(models.Model):
    name = models.CharField(max_length=50)
    objects = LoudManager()


class Quiet(models.Model):
    name = models.CharField(max_length=50)
    number = models.IntegerField(default=0)
    objects = QuietQuerySet.as_manager()


class PresentManager(models.Manager["Present"]):
    def get_queryset(self) -> models.QuerySet[Present]:
        return super().get_queryset().filter(deleted=False)


class Present(models.Model):
    """Its manager hides rows, and is not called objects."""

    name = models.CharField(max_length=50)
    deleted = models.BooleanField(default=False)
    present = PresentManager()


class DeferringManager(models.Manager["Deferred"]):
    def get_queryset(self) -> models.QuerySet[Deferred]:
        return super().get_queryset().defer("text")


class Deferred(models.Model):
    number = models.IntegerField()
    text = models.TextField()
    objects = DeferringManager()


class Chapter(models.Model):
    """Is given its place among those of its book when it is saved."""

    book = models.ForeignKey(Place, models.CASCADE)

    class Meta:
        order_with_respect_to = "book"


class Setting(models.Model):
    key = models.JSONField()
    value = models.CharField(max_length=50, default="")


class Abstract(models.Model):
    name = models.CharField(max_length=50)

    class Meta:
        abstract = True


class Concrete(Abstract):
    pass


class Swapped(models.Model):
    class Meta:
        swappable = "SHOP_SWAPPED_MODEL"


class Note(models.Model):
    """Is about any object."""

    content_type = models.ForeignKey(ContentType, models.CASCADE)
    object_id = models.BigIntegerField()
    about = GenericForeignKey()


class Stamped(models.Model):
    """Takes the time by itself."""

    name = models.CharField(max_length=50)
    created = models.DateTimeField(auto_now_add=True)
    updated = models.DateTimeField(auto_now=True)
    day = models.DateField(auto_now_add=True)


class Person(models.Model):
    """Is friends with those that are friends with it."""

    name = models.CharField(max_length=50)
    friends = models.ManyToManyField("self")


class Shelf(models.Model):
    """Refers to objects whose key is known before they are stored."""

    documents = models.ManyToManyField(Document)
    countries = models.ManyToManyField(Country, through="Origin")


class Origin(models.Model):
    """Is in between, and has no further value that is needed."""

    shelf = models.ForeignKey(Shelf, models.CASCADE)
    country = models.ForeignKey(Country, models.CASCADE)
    since = models.DateTimeField(auto_now_add=True)
    note = models.CharField(max_length=50, blank=True)


class Club(models.Model):
    members = models.ManyToManyField(User, through="Membership", related_name="clubs")


class Membership(models.Model):
    """Is in between, and needs a further value."""

    club = models.ForeignKey(Club, models.CASCADE)
    user = models.ForeignKey(User, models.CASCADE)
    role = models.CharField(max_length=50)


class Packet(models.Model):
    """Takes much, and of several kinds."""

    text = models.TextField(default="")
    data = models.BinaryField(default=b"")
    extra = models.JSONField(default=dict)


# Models with hooks that a single call goes through.


class Hooked(models.Model):
    """What the models of hooks have in common."""

    text = models.CharField(max_length=50, default="")
    number = models.IntegerField(null=True)

    class Meta:
        abstract = True


class Counter(models.Model):
    """Is there to be queried by hooks."""

    value = models.IntegerField(default=7)


def stored_value() -> int:
    """Return a value that has to be looked up."""
    return Counter.objects.get().value


class QueryingDefault(Hooked):
    value = models.IntegerField(default=stored_value)


class QueryingInit(Hooked):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self._state.adding:
            self.number = stored_value()


class QueryingSetter(Hooked):
    @property
    def counted(self) -> int:
        return self.number or 0

    @counted.setter
    def counted(self, times: int) -> None:
        self.number = stored_value() * times


class QueryingSignal(Hooked):
    """Has a receiver of post_init."""


def look_up(sender: type[Any], instance: Any, **_: object) -> None:
    if instance._state.adding:
        instance.number = stored_value()


models.signals.post_init.connect(look_up, sender=QueryingSignal)


def refuse(value: object) -> None:
    """Refuse any value: not called unless somebody calls full_clean()."""
    raise AssertionError(value)


class Validated(Hooked):
    value = models.IntegerField(default=1, validators=[refuse])

    def clean(self) -> None:
        raise AssertionError(self)


class PositionField(models.IntegerField):
    """Takes the next number that no row has."""

    def pre_save(self, model_instance: models.Model, add: bool) -> int:
        position = type(model_instance)._default_manager.count() + 1
        setattr(model_instance, self.attname, position)
        return position


class Positioned(Hooked):
    position = PositionField(default=0)


class UpperField(models.CharField):
    def get_db_prep_save(self, value: Any, connection: Any) -> Any:
        return super().get_db_prep_save(value.upper(), connection)


class Prepared(Hooked):
    shout = UpperField(max_length=50, default="loud")


class OverriddenSave(Hooked):
    def save(self, *args: Any, **kwargs: Any) -> None:
        self.number = type(self).objects.count()
        super().save(*args, **kwargs)


class OverriddenInsert(Hooked):
    def _do_insert(self, *args: Any, **kwargs: Any) -> Any:
        self.text = "inserted"
        return super()._do_insert(*args, **kwargs)


class BulkManager(models.Manager[Any]):
    """Overrides what a single call does not go through."""

    def bulk_create(self, objs: Any, *args: Any, **kwargs: Any) -> Any:
        for one in objs:
            one.text = "in bulk"
        return super().bulk_create(objs, *args, **kwargs)


class BulkQuerySet(models.QuerySet[Any]):
    bulk_create = BulkManager.bulk_create


class OverriddenBulkCreate(Hooked):
    objects = BulkManager()


class BaseOverriddenBulkCreate(Hooked):
    objects = BulkQuerySet.as_manager()

    class Meta:
        base_manager_name = "objects"


class InsertingQuerySet(models.QuerySet[Any]):
    def _insert(self, objs: Any, *args: Any, **kwargs: Any) -> Any:
        assert len(objs) == 1  # as by Django's own save()
        objs[0].text = "by the queryset"
        return super()._insert(objs, *args, **kwargs)


class BaseOverriddenInsert(Hooked):
    objects = InsertingQuerySet.as_manager()

    class Meta:
        base_manager_name = "objects"


class CreatingManager(models.Manager[Any]):
    def create(self, **kwargs: Any) -> Any:
        return super().create(**{**kwargs, "number": self.count()})


class PassingManager(models.Manager[Any]):
    """Overrides create(), and changes nothing."""

    def create(self, **kwargs: Any) -> Any:
        return super().create(**kwargs)


class OverriddenCreate(Hooked):
    objects = CreatingManager()


class NamedManagers(Hooked):
    """Its manager overrides create(), and is not called objects."""

    rows = CreatingManager()


class AsyncManager(models.Manager[Any]):
    async def acreate(self, **kwargs: Any) -> Any:
        return await super().acreate(**{**kwargs, "number": await self.acount()})


class OverriddenAcreate(Hooked):
    objects = AsyncManager()


class QueryingManager(models.Manager[Any]):
    """Makes a query to know which queryset to return."""

    def get_queryset(self) -> models.QuerySet[Any]:
        return super().get_queryset().filter(value=stored_value())


class OverriddenQuerySet(Hooked):
    value = models.IntegerField(default=7)
    objects = QueryingManager()


class OverriddenLoading(Hooked):
    """Is loaded in its own way."""

    @classmethod
    def from_db(cls, db: Any, field_names: Any, values: Any) -> Any:
        instance = super().from_db(db, field_names, values)
        instance.is_loaded = True  # type: ignore[attr-defined]
        return instance

    def refresh_from_db(self, *args: Any, **kwargs: Any) -> None:
        raise AssertionError(self)


class PlainParent(Hooked):
    pass


class Inheriting(PlainParent):
    """Is stored in two tables."""

    value = models.IntegerField(default=3)


class ProxyOfParent(PlainParent):
    class Meta:
        proxy = True


class Made(Hooked):
    """Has values that the database makes up."""

    state = models.CharField(max_length=10, db_default="open")
    length = models.GeneratedField(
        expression=Length("text"), output_field=models.IntegerField(), db_persist=True
    )


class Ordered(Hooked):
    """Is given its place among the others."""

    counter = models.ForeignKey(Counter, models.CASCADE, null=True)

    class Meta:
        order_with_respect_to = "counter"


class FindingManager(models.Manager[Any]):
    def get_or_create(self, defaults: Any = None, **kwargs: Any) -> Any:
        return super().get_or_create({**(defaults or {}), "text": "found"}, **kwargs)


class OverriddenGetOrCreate(Hooked):
    objects = FindingManager()
