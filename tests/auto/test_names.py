"""Values by the name of a field are readable, and fit its type and its constraints."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import factory.random
import pytest
from hypothesis import given, settings

from async_factory_boy.auto import Field, choose, drawing, names
from tests.auto.fields import FIELDS, Model, check, declared, texts, unique, values_of


@settings(max_examples=50, deadline=None)
@given(field=FIELDS)
def test_any_field(field: Field) -> None:
    """Each value is of the field's type, and satisfies its constraints."""
    choice = choose(field, Model)
    for value in values_of(choice.declaration):
        check(value, field, choice.rule)


@settings(max_examples=50, deadline=None)
@given(field=FIELDS)
def test_the_source(field: Field) -> None:
    """The source that goes with a declaration gives values that are as valid."""
    choice = choose(field, Model)
    for value in values_of(declared(choice)):
        if not choice.source.startswith("factory.Transformer"):  # cut anywhere
            check(value, field, choice.rule)
        assert field.max_length is None or len(value) <= field.max_length


@settings(max_examples=30, deadline=None)
@given(field=texts())
def test_the_seed(field: Field) -> None:
    """The same seed gives the same values."""
    choice = choose(field, Model)
    seen = []
    for _ in range(2):
        factory.random.reseed_random(1)
        seen.append(values_of(choice.declaration))
    assert seen[0] == seen[1]


LOCALES = ["de_DE", "es_MX", "hy_AM", "ja_JP", "bg_BG", "fr_CH"]


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("length", [None, 12, 30, 60, 100])
def test_locales(locale: str, length: int | None) -> None:
    """Values fit the length in other locales as well."""
    with factory.Faker.override_default_locale(locale):
        for entry in names.TEXTS:
            field = Field(name=entry.words[0], type=str, max_length=length)
            declaration = choose(field, Model).declaration
            for value in values_of(declaration):
                assert length is None or len(value) <= length, field.name


@pytest.mark.parametrize(
    ("name", "kind", "rule"),
    [
        ("billing_email", str, "by name: email"),
        ("homeCity", str, "by name: city"),
        ("phone2", str, "by name: phone"),
        ("company_name", str, "by name: company"),
        ("contact_last_name", str, "by name: last_name"),
        ("price", Decimal, "by name: price"),
        ("price", int, "by name: price"),
        ("unit_price", float, "by name: price"),
        ("price", str, "by type: str"),
        ("name", int, "by type: int"),
        ("email", bytes, "by type: bytes"),
        ("created_at", datetime, "by name: created_at"),
        ("birthday", date, "by name: birthday"),
        ("birthday", int, "by type: int"),
        ("emails", str, "by type: str"),
        ("xemail", str, "by type: str"),
    ],
)
def test_what_a_name_says(name: str, kind: type, rule: str) -> None:
    """A name counts if it is a word of the table or ends in one, and for the types it fits."""
    assert choose(Field(name=name, type=kind), Model).rule == rule


@pytest.mark.parametrize(
    ("model", "rule"),
    [("User", "name"), ("City", "city"), ("UserCompany", "company"), ("Tag", "word")],
)
def test_the_name_of_a_thing(model: str, rule: str) -> None:
    """What a field called name holds depends on what has the name."""
    choice = choose(Field(name="name", type=str), type(model, (), {}))
    assert choice.rule == f"by name: {rule}"


@pytest.mark.parametrize(
    ("constraints", "low", "high"),
    [({}, 1, 1000), ({"le": 5}, 1, 5), ({"ge": 900}, 900, 1000), ({"ge": 5000}, 5000, 6000),
     ({"lt": 1}, -100, 0)],
)  # fmt: skip
def test_numbers_of_a_name(constraints: Any, low: int, high: int) -> None:
    """Numbers are of the usual range of a name, as far as the bounds allow it."""
    values = values_of(choose(Field(name="price", type=int, **constraints), Model).declaration, 50)
    assert low <= min(values) <= max(values) <= high


def test_what_begins_comes_first() -> None:
    """What begins or is created is before what ends or is updated, as checks of tables ask."""
    before, after = (
        values_of(choose(Field(name=name, type=datetime), Model).declaration, 50)
        for name in ("starts_at", "ends_at")
    )
    assert max(before) < min(after)


def test_bare_faker() -> None:
    """Where nothing has to be cut, the declaration is Faker itself, which is evaluated fast."""
    for length in (None, 255, 64):
        declaration = choose(Field(name="email", type=str, max_length=length), Model).declaration
        assert type(declaration) is factory.Faker


@pytest.mark.parametrize(
    ("name", "length", "before", "after"),
    [
        ("email", None, "user", "@example.com"),
        ("email", 25, "user", "@example.com"),
        ("email", 22, "u", "@example.org"),
        ("email", 9, "", "@ab.co"),
        ("website", None, "https://example.com/", ""),
        ("home_slug", None, "slug-", ""),
        ("uuid", 36, "00000000-0000-4000-8000-0", ""),
        ("client_ip", None, "10.0.0.", ""),
        ("nick_name", 30, "nick-name-", ""),
    ],
)
def test_readable_uniques(name: str, length: int | None, before: str, after: str) -> None:
    """Unique texts have a number, and are readable as far as there is room for it."""
    field = Field(name=name, type=str, max_length=length, unique=unique(name))
    first, second = values_of(choose(field, type("Other", (), {})).declaration, 2)
    assert first != second
    for value in (first, second):
        assert value.startswith(before)
        assert value.endswith(after)


def test_no_word_is_in_two_entries() -> None:
    """A word stands for one kind of value."""
    words = [word for entry in names.TEXTS for word in entry.words]
    assert len(words) == len(set(words))


def test_drawing_by_another_function(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fitted values are drawn by the function that was given, such as a faster one."""
    monkeypatch.setattr(drawing, "_value_of", drawing.plain)
    drawing.use(lambda provider, locale, parameters: f"{provider} {locale} {dict(parameters)}")
    field = Field(name="last_name", type=str, max_length=14)
    assert values_of(choose(field, Model).declaration, 1) == ["last_name None"]
