"""What the adapter tells of the fields of a model."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID, uuid4

import pytest
from asgiref.sync import sync_to_async
from async_factory_boy_django import AsyncDjangoModelFactory, DjangoAdapter
from django.contrib.contenttypes.models import ContentType
from django.contrib.postgres.fields import ArrayField, HStoreField, IntegerRangeField
from django.core import validators
from django.core.exceptions import ValidationError
from django.core.files import File
from django.core.files.base import ContentFile
from django.db import IntegrityError, models, transaction
from django.db.models.functions import Lower, Now
from django.test.utils import isolate_apps, override_settings

from async_factory_boy import AdapterError, ConfigurationError
from async_factory_boy.adapters.fields import NO_DEFAULT, Field, Relation
from tests.shop.models import (
    Abstract,
    Chapter,
    Club,
    Inheriting,
    Made,
    Membership,
    Note,
    Place,
    PlainParent,
    ProxyOfParent,
    Stamped,
    User,
)

INT = {"type": int, "stored_as": "IntegerField", "ge": -(2**31), "le": 2**31 - 1}


class Colour(models.TextChoices):
    RED = "red"
    BLUE = "blue"


def refuse_nothing(value: object) -> None:
    """Take any value."""


class ShoutField(models.CharField):
    """Changes what is stored, which is a string for all that."""

    def get_prep_value(self, value: Any) -> Any:
        return value and value.upper()


class PathField(models.CharField):
    """Has values of another class than a string."""

    def to_python(self, value: Any) -> Any:
        return value and PurePosixPath(value)

    def get_prep_value(self, value: Any) -> Any:
        return value and str(value)


class PointField(models.Field):
    """Is of no class that Django has."""

    def db_type(self, connection: Any) -> str:
        return "varchar(9)"


class Everything(models.Model):
    """Has a field of each kind."""

    number = models.IntegerField()
    small = models.SmallIntegerField()
    big = models.BigIntegerField()
    positive = models.PositiveIntegerField()
    positive_big = models.PositiveBigIntegerField()
    bounded = models.IntegerField(
        validators=[
            validators.MinValueValidator(lambda: 1),
            validators.MaxValueValidator(9),
            validators.StepValueValidator(2),
        ]
    )
    offset = models.IntegerField(validators=[validators.StepValueValidator(3, offset=1)])
    stepped = models.IntegerField(
        validators=[validators.StepValueValidator(2), validators.StepValueValidator(3)]
    )
    text = models.TextField()
    name = models.CharField(max_length=9, validators=[validators.MinLengthValidator(2)])
    code = models.CharField(
        max_length=9, validators=[validators.RegexValidator("[a-z]", flags=re.I)]
    )
    both = models.CharField(
        max_length=9,
        validators=[validators.RegexValidator("^[ab]+$"), validators.RegexValidator("a")],
    )
    not_a = models.CharField(
        max_length=9, validators=[validators.RegexValidator("a", inverse_match=True)]
    )
    nulls = models.CharField(
        max_length=9, validators=[validators.ProhibitNullCharactersValidator()]
    )
    blank = models.CharField(max_length=9, blank=True)
    blank_unique = models.CharField(max_length=9, blank=True, unique=True)
    email = models.EmailField()
    contact = models.CharField(max_length=60, validators=[validators.validate_email])
    url = models.URLField()
    slug = models.SlugField()
    address = models.GenericIPAddressField(protocol="IPv4")
    path = models.FilePathField()
    flag = models.BooleanField()
    ratio = models.FloatField()
    price = models.DecimalField(max_digits=7, decimal_places=2)
    precise = models.DecimalField(
        max_digits=9, decimal_places=4, validators=[validators.DecimalValidator(5, 1)]
    )
    moment = models.DateTimeField()
    day = models.DateField()
    hour = models.TimeField()
    touched = models.TimeField(auto_now=True)
    span = models.DurationField()
    extra = models.JSONField()
    data = models.BinaryField(max_length=20)
    token = models.UUIDField()
    scan = models.FileField()
    scan_blank = models.FileField(blank=True)
    colour = models.CharField(max_length=9, choices=Colour.choices, default=Colour.RED)
    grouped = models.IntegerField(choices=[("low", [(1, "one"), (2, "two")]), (3, "three")])
    optional = models.IntegerField(null=True)
    zero = models.IntegerField(default=0)
    called = models.UUIDField(default=uuid4)
    stored = models.IntegerField(db_default=7)
    stamped = models.DateTimeField(db_default=Now())
    shout = ShoutField(max_length=9)
    converted = PathField(max_length=9)
    point = PointField()
    checked = models.IntegerField(validators=[refuse_nothing])

    class Meta:
        app_label = "shop"


class Constrained(models.Model):
    """Is what its constraints say."""

    company = models.ForeignKey(Place, models.CASCADE)
    host = models.OneToOneField(User, models.CASCADE, null=True)
    name = models.CharField(max_length=20)
    email = models.CharField(max_length=20)
    nick = models.CharField(max_length=20)
    age = models.IntegerField()
    level = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=9)
    other = models.CharField(max_length=9, default="a")
    left = models.IntegerField(default=1)
    right = models.IntegerField(default=2)

    class Meta:
        app_label = "shop"
        unique_together = [("company", "name")]
        constraints = [
            models.UniqueConstraint(Lower("email"), name="shop_email"),
            models.UniqueConstraint(
                fields=["nick", "company_id"], condition=models.Q(age__gt=3), name="shop_nick"
            ),
            models.CheckConstraint(
                condition=models.Q(age__gte=0) & models.Q(age__lt=150), name="shop_age"
            ),
            models.CheckConstraint(condition=models.Q(age__gt=1), name="shop_older"),
            models.CheckConstraint(condition=models.Q(level__range=(2, 5)), name="shop_level"),
            models.CheckConstraint(condition=models.Q(kind__in=["a", "b"]), name="shop_kind"),
            models.CheckConstraint(condition=models.Q(other="a"), name="shop_other"),
            # What follows says nothing of one field alone, or not in a simple way.
            models.CheckConstraint(
                condition=models.Q(left__gt=0) | models.Q(right__gt=0), name="shop_or"
            ),
            models.CheckConstraint(condition=~models.Q(left=7), name="shop_not"),
            models.CheckConstraint(condition=models.Q(left__lt=models.F("right")), name="shop_f"),
            models.CheckConstraint(condition=models.Q(left__isnull=False), name="shop_null"),
            models.CheckConstraint(
                condition=models.Q(kind__lt="c"),
                name="shop_text",
            ),
        ]


adapter: DjangoAdapter[Any] = DjangoAdapter()


def field(model: type[models.Model], name: str) -> Field:
    (found,) = [one for one in adapter.fields(model) if one.name == name]
    return found


def names(model: type[models.Model]) -> str:
    return " ".join(one.name for one in adapter.fields(model))


def text(stored_as: str = "CharField", max_length: int | None = 9) -> dict[str, Any]:
    return {"type": str, "stored_as": stored_as, "max_length": max_length, "required": True}


def whole(stored_as: str, ge: int, le: int) -> dict[str, Any]:
    return {"type": int, "stored_as": stored_as, "ge": ge, "le": le, "required": True}


def of(kind: type | None, stored_as: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "stored_as": stored_as, "required": True, **more}


FILLED = {"required": False, "has_default": True}
STAMP = {**of(datetime, "DateTimeField", aware=True), **FILLED}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("number", {**INT, "required": True}),
        ("small", whole("SmallIntegerField", -(2**15), 2**15 - 1)),
        ("big", whole("BigIntegerField", -(2**63), 2**63 - 1)),
        ("positive", whole("PositiveIntegerField", 0, 2**31 - 1)),
        ("positive_big", whole("PositiveBigIntegerField", 0, 2**63 - 1)),
        ("bounded", {**whole("IntegerField", 1, 9), "multiple_of": 2}),
        ("offset", {**INT, "required": True, "stored_as": "IntegerField(StepValueValidator)"}),
        (
            "stepped",
            {**INT, "required": True, "stored_as": "IntegerField(StepValueValidator)"}
            | {"multiple_of": 2},
        ),
        ("text", text("TextField", None)),
        ("name", {**text(), "min_length": 2}),
        ("code", {**text(), "pattern": "(?i:[a-z])"}),
        ("not_a", text("CharField(RegexValidator)")),
        ("nulls", text()),
        ("blank", {**text(), **FILLED, "default": ""}),
        ("blank_unique", {**text(), "unique": (frozenset({"blank_unique"}),)}),
        ("email", text("EmailField", 254)),
        ("contact", text("CharField(EmailValidator)", 60)),
        ("url", text("URLField", 200)),
        ("slug", {**text("SlugField", 50), "pattern": validators.slug_re.pattern}),
        ("address", text("GenericIPAddressField(validate_ipv4_address)", 39)),
        ("path", text("FilePathField", 100)),
        ("flag", of(bool, "BooleanField")),
        ("ratio", of(float, "FloatField")),
        ("price", of(Decimal, "DecimalField", precision=7, scale=2)),
        ("precise", of(Decimal, "DecimalField", precision=5, scale=1)),
        ("moment", of(datetime, "DateTimeField", aware=True)),
        ("day", of(date, "DateField")),
        ("hour", of(time, "TimeField", aware=False)),
        ("touched", {**of(time, "TimeField", aware=False), **FILLED}),
        ("span", of(timedelta, "DurationField")),
        ("extra", of(dict, "JSONField")),
        ("data", of(bytes, "BinaryField", max_length=20)),
        ("token", of(UUID, "UUIDField")),
        ("scan", of(File, "FileField")),
        ("scan_blank", {**of(File, "FileField"), **FILLED, "default": ""}),
        (
            "colour",
            {**text(), **FILLED, "default": Colour.RED, "choices": ("red", "blue")},
        ),
        ("grouped", {**INT, "required": True, "choices": (1, 2, 3)}),
        ("optional", {**INT, "nullable": True}),
        ("zero", {**INT, "has_default": True, "default": 0}),
        ("called", {**of(UUID, "UUIDField"), **FILLED}),
        ("stored", {**INT, "has_default": True, "default": 7}),
        ("stamped", STAMP),
        ("shout", text("ShoutField")),
        ("converted", of(None, "PathField")),
        ("point", of(None, "PointField")),
        ("checked", {**INT, "required": True, "stored_as": "IntegerField(refuse_nothing)"}),
    ],
)
def test_column(name: str, said: dict[str, Any]) -> None:
    """A field that is stored in a column is told with its type, and what its values are like."""
    assert replace(field(Everything, name), validators=()) == Field(name=name, **said)


@pytest.mark.parametrize(
    ("value", "valid"), [("ba", True), ("a", True), ("bb", False), ("ac", False)]
)
def test_two_patterns(value: str, valid: bool) -> None:
    """Where two patterns have to match, that of the field does where both do."""
    pattern = field(Everything, "both").pattern
    assert pattern is not None
    assert (re.search(pattern, value) is not None) == valid
    try:
        Everything._meta.get_field("both").run_validators(value)
    except ValidationError:
        assert not valid
    else:
        assert valid


def test_without_time_zones() -> None:
    """Times have no zone without USE_TZ."""
    with override_settings(USE_TZ=False):
        assert field(Everything, "moment").aware is False


def test_generated() -> None:
    """A key that the database makes, a computed column and a place in an order are generated."""
    for model, name, kind in ((Made, "id", int), (Made, "length", int), (Chapter, "_order", int)):
        found = field(model, name)
        assert (found.type, found.generated, found.required) == (kind, True, False)
    assert field(Made, "state").default == "open"
    assert [one.required for one in adapter.fields(Stamped)] == [False, True, False, False, False]


def test_inheritance() -> None:
    """A model has the fields of its parents; the link to a parent is generated."""
    assert names(Inheriting) == "id text number plainparent_ptr plainparent_ptr_id value"
    link, key = field(Inheriting, "plainparent_ptr"), field(Inheriting, "plainparent_ptr_id")
    assert link.relation == Relation(target=PlainParent, keys={"plainparent_ptr_id": "id"})
    assert (link.generated, link.required) == (True, False)
    assert (key.generated, key.required, key.key_of) == (True, False, "plainparent_ptr")
    assert adapter.fields(ProxyOfParent) == adapter.fields(PlainParent)


def test_reference() -> None:
    """A foreign key is told as the relation, with its target, and as the key that holds it."""
    assert names(Membership) == "id club club_id user user_id role"
    club, key = field(Membership, "club"), field(Membership, "club_id")
    assert club == Field(
        name="club",
        type=Club,
        stored_as="ForeignKey",
        required=True,
        relation=Relation(target=Club, keys=adapter.keys_of(Membership)["club"]),
    )
    assert (key.type, key.key_of, key.required, key.generated) == (int, "club", False, False)
    assert (key.unique, key.relation) == ((), None)
    host = field(Constrained, "host")
    assert (host.nullable, host.required, host.stored_as) == (True, False, "OneToOneField")


def test_many_to_many() -> None:
    """A relation of many to many is told by the model that declares it, and is not required."""
    assert names(Club) == "id members"
    assert field(Club, "members") == Field(
        name="members",
        type=list,
        stored_as="ManyToManyField",
        relation=Relation(target=User, many=True),
    )


def test_generic_foreign_key() -> None:
    """A generic foreign key is a relation to nobody in particular, which has both columns."""
    assert names(Note) == "id content_type content_type_id object_id about"
    about, kind, key = (field(Note, name) for name in ("about", "content_type", "object_id"))
    assert about.relation == Relation(target=None, keys={"object_id": "pk"})
    assert (about.required, about.type, about.stored_as) == (True, None, "GenericForeignKey")
    assert kind.relation == Relation(target=ContentType, keys={"content_type_id": "id"})
    assert [(one.key_of, one.required) for one in (kind, key)] == [("about", False)] * 2
    assert (key.type, key.le) == (int, 2**63 - 1)


def test_an_automatic_factory_of_it() -> None:
    """No model is chosen for a relation to any: the error says what to declare."""

    class NoteFactory(AsyncDjangoModelFactory[Note]):
        class Meta:
            auto_declarations = True

    with pytest.raises(ConfigurationError) as caught:
        NoteFactory.build()
    assert str(caught.value) == (
        "NoteFactory.about refers to objects of any model, so none is chosen. Declare which: "
        "about = factory.SubFactory(...)."
    )


@pytest.mark.parametrize(
    ("name", "unique"),
    [
        ("id", ["id"]),
        ("company", ["company name", "company nick"]),
        ("company_id", ["company_id name", "company_id nick"]),
        ("host", ["host"]),
        ("host_id", ["host_id"]),
        ("name", ["company name"]),
        ("email", ["email"]),
        ("nick", ["company nick"]),
        ("age", []),
    ],
)
def test_unique(name: str, unique: list[str]) -> None:
    """Each set of unique fields is told of each of them, with relations by their own names."""
    assert field(Constrained, name).unique == tuple(frozenset(one.split()) for one in unique)


@pytest.mark.parametrize(
    ("name", "limits"),
    [
        ("age", {"ge": 0, "gt": 1, "lt": 150, "le": 2**31 - 1}),
        ("level", {"ge": 2, "le": 5}),
        ("kind", {"choices": ("a", "b"), "lt": "c"}),
        ("other", {"choices": ("a",)}),
        ("left", {"ge": -(2**31), "le": 2**31 - 1}),
        ("right", {"ge": -(2**31), "le": 2**31 - 1}),
    ],
)
def test_check_constraint(name: str, limits: dict[str, Any]) -> None:
    """What a simple check asks of one field is told of it; any other check is left alone."""
    found = field(Constrained, name)
    expected = {"ge": None, "gt": None, "le": None, "lt": None, "choices": (), **limits}
    assert {word: getattr(found, word) for word in expected} == expected


@isolate_apps("tests.shop")
def test_postgresql() -> None:
    """An array is told with its items; what has no class in Python, without a type."""

    class Special(models.Model):
        rows = ArrayField(ArrayField(models.CharField(max_length=5), size=2))
        store = HStoreField()
        span = IntegerRangeField(default=None)

        class Meta:
            app_label = "shop"

    item = Field(name="rows", **text(max_length=5))
    row = Field(name="rows", **of(list, "ArrayField", max_length=2, element=item))
    assert field(Special, "rows") == Field(name="rows", **of(list, "ArrayField", element=row))
    assert field(Special, "store").type is dict
    assert field(Special, "span") == Field(
        name="span", stored_as="IntegerRangeField", has_default=True, default=None
    )


@pytest.mark.skipif(not hasattr(models, "CompositePrimaryKey"), reason="new in Django 5.2")
@isolate_apps("tests.shop")
def test_composite_key() -> None:
    """The fields of a key of several are unique together, and have to be given."""

    class Seat(models.Model):
        pk = models.CompositePrimaryKey("row", "number")
        row = models.CharField(max_length=1)
        number = models.IntegerField()

        class Meta:
            app_label = "shop"

    assert names(Seat) == "row number"
    for one in adapter.fields(Seat):
        assert (one.unique, one.required) == ((frozenset({"row", "number"}),), True)


@isolate_apps("tests.shop")
def test_given_keys() -> None:
    """A key that nothing fills is required; a reference to a reference has the type of the last."""

    class Country(models.Model):
        code = models.CharField(max_length=2, primary_key=True, blank=True)

        class Meta:
            app_label = "shop"

    class Capital(models.Model):
        country = models.OneToOneField(Country, models.CASCADE, primary_key=True)

        class Meta:
            app_label = "shop"

    class Street(models.Model):
        capital = models.ForeignKey(Capital, models.CASCADE, default="FR")

        class Meta:
            app_label = "shop"

    code, key = field(Country, "code"), field(Street, "capital_id")
    assert (code.required, code.unique) == (True, (frozenset({"code"}),))
    assert field(Street, "capital").relation == Relation(
        target=Capital, keys={"capital_id": "country_id"}
    )
    assert field(Street, "capital").default is NO_DEFAULT
    assert (key.type, key.max_length, key.default, key.unique) == (str, 2, "FR", ())


@isolate_apps("tests.shop")
def test_unresolved() -> None:
    """A model that refers to one which Django does not know is refused, with what to do first."""

    class Lost(models.Model):
        home = models.ForeignKey("nowhere.Home", models.CASCADE)

        class Meta:
            app_label = "shop"

    with pytest.raises(AdapterError) as caught:
        adapter.fields(Lost)
    assert str(caught.value) == (
        "Lost.home refers to 'nowhere.Home', which Django does not know. Call django.setup() "
        "first, with the app of that model in settings.INSTALLED_APPS; pytest-django does so by "
        "the settings it is given."
    )


@pytest.mark.parametrize(
    ("model", "message"),
    [(dict, "dict is not a model of Django"), (Abstract, "Abstract is an abstract model")],
)
def test_no_model(model: Any, message: str) -> None:
    """What is no model, or an abstract one, is refused."""
    with pytest.raises(AdapterError, match=message):
        adapter.fields(model)


VALUES: dict[Any, Any] = {
    int: 2,
    str: "a",
    bool: True,
    float: 0.5,
    Decimal: Decimal("1.5"),
    datetime: datetime(2026, 1, 2, tzinfo=timezone.utc),
    date: date(2026, 1, 2),
    time: time(1, 2),
    timedelta: timedelta(hours=1),
    dict: {},
    bytes: b"a",
    UUID: UUID(int=1),
    File: ContentFile(b"a", "scan"),
}
# What only a person knows the type of.
KNOWN = {"converted": "a", "point": "a", "address": "10.0.0.1"}


@pytest.mark.django_db(databases="__all__")
async def test_what_is_required(alias: str) -> None:
    """With what is required an object is stored; without any one of it, it is not, or is empty."""
    required = {
        one.name: KNOWN.get(one.name, VALUES.get(one.type))
        for one in adapter.fields(Everything)
        if one.required
    }

    def store(values: dict[str, Any]) -> Everything:
        with transaction.atomic(using=alias):
            return Everything.objects.using(alias).create(**values)

    stored = await sync_to_async(store)(required)
    assert stored.pk is not None
    for number, name in enumerate(required):
        others = {other: value for other, value in required.items() if other != name}
        others["blank_unique"] = str(number)
        if name == "blank_unique":
            del others[name]
        try:
            made = await sync_to_async(store)(others)
        except (IntegrityError, ValueError):
            continue
        assert not getattr(made, name)
