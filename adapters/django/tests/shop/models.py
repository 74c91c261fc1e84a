"""The models that the tests store."""

from __future__ import annotations

import uuid

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
