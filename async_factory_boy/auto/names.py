"""Readable values by the name of a field: a table, and what fits its values to a length.

A field has a word of the table if that is its name, or what its name ends in: ``billing_email``.
The word with the most letters counts. Numbers at the end are ignored: ``phone2``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Text:
    """Texts that a provider of Faker's gives.

    Args:
        words: The names that they fit.
        faker: The provider.
        longest: The greatest length of its values, in any of Faker's locales.
        keywords: The provider's keywords.
        shortest: The least length.
        fit: Returns a value fitted to a least and a greatest length, still a valid one.
        fits_from: The least length that `fit` can fit a value to.
        shorter: Others to use where the values of this one are too long.
        shapes: What is before and after the number of a unique value, the most readable first.
        sized: The keyword that takes a length; and what of that is repeated, if it is a pattern.
    """

    words: tuple[str, ...]
    faker: str
    longest: int = 0
    keywords: Mapping[str, Any] = field(default_factory=dict)
    shortest: int = 1
    fit: Callable[[str, int, int], str] | None = None
    fits_from: int = 1
    shorter: tuple[Text, ...] = ()
    shapes: tuple[tuple[str, str], ...] = ()
    sized: tuple[str, str] | None = None


@dataclass(frozen=True)
class Number:
    """Numbers of a name: any of int, float and Decimal, by the type of the field."""

    words: tuple[str, ...]
    low: int
    high: int


@dataclass(frozen=True)
class Moment:
    """Dates, or dates and times, of a name: from one year to another, both included."""

    words: tuple[str, ...]
    low: int
    high: int


# How texts are cut, and lengthened.


def fit_text(value: str, least: int, most: int) -> str:
    """Cut a text between two words, if it can be."""
    value = value or "a"
    while len(value) < least:
        value = f"{value} {value}"
    if len(value) > most:
        cut = value[:most]
        if not value[most].isspace():
            cut = cut.rpartition(" ")[0] or cut
        cut = cut.rstrip(" ,.;:-")
        value = cut if cut and len(cut) >= least else value[:most].rstrip().ljust(least, "a")
    return value


def fit_email(value: str, least: int, most: int) -> str:
    """Cut an e-mail address before the ``@``; where even the domain is too long, take another."""
    local, _, domain = value.rpartition("@")
    if len(domain) + 2 > most:
        domain = "example.org" if most >= 13 else "ab.co"
    room = min(most - len(domain) - 1, 64)
    local = local[:room].rstrip("._-+") or "a"
    return f"{local.ljust(min(least - len(domain) - 1, room), '0')}@{domain}"


def fit_url(value: str, least: int, most: int) -> str:
    """Cut a URL within its host."""
    if len(value) > most:
        scheme = "https://" if most >= 13 else "http://"
        host = value.partition("://")[2].strip("/").removeprefix("www.").partition(".")[0]
        host = host[: most - len(scheme) - 4].rstrip("-") or "a"
        value = f"{scheme}{host}.com"
    if len(value) < least:
        value = value if value.endswith("/") else f"{value}/"
    return value.ljust(least, "a")


def fit_slug(value: str, least: int, most: int) -> str:
    """Cut a slug, or a domain's label, such that no hyphen is at its end."""
    cut = value[:most]
    if len(value) > most and value[most] != "-":
        cut = cut.rpartition("-")[0] or cut
    return (cut.rstrip("-") or "a").ljust(least, "a")


def fit_domain(value: str, least: int, most: int) -> str:
    """Cut a domain before its last part."""
    label, _, last = value.rpartition(".")
    if len(last) + 2 > most:
        last = "co"
    room = most - len(last) - 1
    label = label[:room].rstrip(".-") or "a"
    return f"{label.ljust(least - len(last) - 1, 'a')}.{last}"


def fit_file(value: str, least: int, most: int) -> str:
    """Cut the name of a file before its extension."""
    name, _, extension = value.rpartition(".")
    if len(extension) + 2 > most:
        extension = "c"
    room = most - len(extension) - 1
    return f"{name[:room].ljust(least - len(extension) - 1, 'a')}.{extension}"


_PHONE = (
    Text((), "numerify", 12, {"text": "+1555#######"}, 12),
    Text((), "numerify", 10, {"text": "555#######"}, 10),
    Text((), "numerify", 7, {"text": "555####"}, 7),
)

_NAMED: Mapping[str, Any] = {"fit": fit_text, "fits_from": 2}

# Many locales have no states, and one has names of currencies in place of codes.
_ENGLISH: Mapping[str, Any] = {"locale": "en_US"}

TEXTS: list[Text] = [
    Text(
        ("email", "email_address", "mail", "e_mail"), "email", 50, shortest=6,
        fit=fit_email, fits_from=7,
        shapes=(("user", "@example.com"), ("u", "@example.org"), ("", "@ab.co")),
    ),
    Text(("first_name", "firstname", "given_name", "forename"), "first_name", 30, **_NAMED),
    Text(("middle_name",), "first_name", 30, **_NAMED),
    Text(("last_name", "lastname", "surname", "family_name"), "last_name", 50, **_NAMED),
    Text(("name", "full_name", "fullname", "display_name", "author"), "name", 50, **_NAMED),
    Text(
        ("username", "user_name", "login", "nickname", "nick", "handle", "screen_name"),
        "user_name", 40, fit=fit_slug, fits_from=2, shapes=(("user", ""), ("u", ""), ("", "")),
    ),
    Text(
        ("url", "website", "homepage", "link", "uri", "site", "web_site", "href", "web_url"),
        "url", 50, shortest=12, fit=fit_url, fits_from=12,
        shapes=(("https://example.com/", ""), ("http://a.co/", "")),
    ),
    Text(("image_url", "avatar_url", "avatar", "picture_url", "photo_url", "logo_url"),
         "image_url", 60, shortest=12, fit=fit_url, fits_from=12,
         shapes=(("https://example.com/", ".png"), ("http://a.co/", ""))),
    Text(
        ("phone", "phone_number", "telephone", "mobile", "mobile_number", "fax", "tel", "cell"),
        "phone_number", 24, shortest=8, shorter=_PHONE, shapes=(("+1555", ""), ("", "")),
    ),
    Text(("city", "town"), "city", 50, **_NAMED),
    Text(("country", "country_name"), "country", 64, **_NAMED),
    Text(
        ("country_code", "iso_code"), "country_code", 2, shortest=2,
        shorter=(Text((), "country_code", 3, {"representation": "alpha-3"}, 3),),
    ),
    Text(("state", "province", "region"), "state", 40, _ENGLISH, **_NAMED),
    Text(("address", "postal_address"), "address", 128, **_NAMED),
    Text(
        ("street", "street_address", "address_line", "address_line_1", "address_1"),
        "street_address", 80, **_NAMED,
    ),
    Text(("street_name",), "street_name", 64, **_NAMED),
    Text(("building_number", "house_number"), "building_number", 16),
    Text(
        ("postcode", "post_code", "zip", "zipcode", "zip_code", "postal_code"), "postcode", 12,
        shortest=3, shorter=(Text((), "numerify", 5, {"text": "#####"}, 5),),
    ),
    Text(
        ("company", "company_name", "organization", "organisation", "employer", "brand"),
        "company", 90, **_NAMED,
    ),
    Text(("job", "job_title", "occupation", "profession"), "job", 128, **_NAMED),
    Text(("title", "headline", "subject", "caption"), "sentence", 100, {"nb_words": 4}, **_NAMED),
    Text(("slogan", "tagline", "catch_phrase"), "catch_phrase", 100, **_NAMED),
    Text(
        ("description", "summary", "bio", "biography", "about", "abstract", "excerpt", "intro",
         "comment", "note", "notes", "message", "remark", "remarks"),
        "sentence", 180, **_NAMED,
    ),
    Text(
        ("body", "text", "content", "contents"), "text", 200, {"max_nb_chars": 200}, **_NAMED
    ),
    Text(("word", "keyword", "tag", "label"), "word", 24, **_NAMED),
    Text(("slug",), "slug", 32, fit=fit_slug, shapes=(("slug-", ""), ("s", ""), ("", ""))),
    Text(("color", "colour", "hex_color", "hex_colour"), "hex_color", 7, shortest=7),
    Text(("color_name", "colour_name"), "color_name", 32, **_NAMED),
    Text(
        ("ip", "ip_address", "ipv4", "ip4", "remote_addr", "ip_addr", "client_ip"), "ipv4", 15,
        shortest=7,
    ),
    Text(("ipv6", "ip6"), "ipv6", 39, shortest=30),
    Text(("mac_address",), "mac_address", 17, shortest=17),
    Text(("user_agent",), "user_agent", 200, **_NAMED),
    Text(
        ("token", "secret", "api_key", "access_key", "secret_key", "access_token", "key", "hash",
         "checksum", "digest", "fingerprint"),
        "hexify", 40, sized=("text", "^"),
    ),
    Text(("password", "passwd", "pwd"), "password", 12, shortest=4, sized=("length", "")),
    Text(("locale",), "locale", 6, shortest=5),
    Text(
        ("language", "lang", "language_code"), "language_code", 3, shortest=2,
        shorter=(Text((), "random_element", 2, {"elements": ("de", "en", "es", "fr", "it")}, 2),),
    ),
    Text(("currency", "currency_code"), "currency_code", 3, _ENGLISH, shortest=3),
    Text(("timezone", "time_zone", "tz"), "timezone", 48),
    Text(
        ("filename", "file_name", "file"), "file_name", 40, fit=fit_file, fits_from=3,
        shapes=(("file", ".txt"), ("f", ".c")),
    ),
    Text(
        ("mime_type", "mimetype", "content_type", "media_type"), "mime_type", 80,
        shortest=3,
    ),
    Text(
        ("domain", "domain_name", "hostname", "host", "host_name"), "domain_name", 48,
        shortest=4, fit=fit_domain, fits_from=4,
        shapes=(("host", ".example.com"), ("a", ".co")),
    ),
    Text(("uuid", "guid"), "uuid4", 36, shortest=36),
    Text(("isbn",), "isbn13", 17, shortest=17),
    Text(("iban",), "iban", 34, shortest=15),
    Text(("version",), "numerify", 5, {"text": "%.#.#"}, 5),
]  # fmt: skip
"""For ``str``. Where a word is in several, the first counts."""

NUMBERS: list[Number] = [
    Number(
        ("price", "amount", "total", "cost", "subtotal", "balance", "fee", "sum", "net", "gross"),
        1, 1000,
    ),
    Number(("salary", "income", "revenue", "budget"), 20_000, 120_000),
    Number(("discount", "tax", "vat"), 0, 20),
    Number(("quantity", "qty", "count", "stock", "pieces"), 1, 100),
    Number(("age",), 18, 90),
    Number(("year",), 2000, 2025),
    Number(("month",), 1, 12),
    Number(("day",), 1, 28),
    Number(("hour", "hours"), 0, 23),
    Number(("minute", "minutes", "second", "seconds"), 0, 59),
    Number(("percent", "percentage"), 0, 100),
    Number(("rating", "stars"), 1, 5),
    Number(("latitude", "lat"), -90, 90),
    Number(("longitude", "lng", "lon", "long"), -180, 180),
    Number(("port",), 1024, 49151),
    Number(("width", "height"), 100, 2000),
    Number(("weight",), 1, 100),
]  # fmt: skip
"""For ``int``, ``float`` and ``Decimal``."""

MOMENTS: list[Moment] = [
    Moment(
        ("birthday", "birth_date", "birthdate", "date_of_birth", "dob", "born", "born_on"),
        1950, 2005,
    ),
    Moment(
        ("created_at", "created", "created_on", "date_created", "date_joined", "joined_at",
         "registered_at", "inserted_at", "start", "start_date", "starts_at", "started_at",
         "begin", "begins_at", "valid_from", "start_time"),
        2020, 2022,
    ),
    Moment(
        ("updated_at", "updated", "updated_on", "modified", "modified_at", "last_modified",
         "last_login", "published_at", "pub_date", "finished_at", "completed_at", "end",
         "end_date", "ends_at", "ended_at", "end_time"),
        2023, 2024,
    ),
    Moment(
        ("expires", "expires_at", "expiry", "expiry_date", "expiration_date", "valid_to",
         "valid_until", "due", "due_date", "due_at", "deadline", "scheduled_at"),
        2030, 2034,
    ),
]  # fmt: skip
"""For ``date`` and ``datetime``: what begins is before what ends, as checks of tables ask."""

THINGS: dict[str, str] = {
    "company": "company", "organization": "company", "organisation": "company", "brand": "company",
    "publisher": "company", "vendor": "company", "supplier": "company", "team": "company",
    "city": "city", "country": "country", "region": "state", "state": "state",
    "tag": "word", "category": "word", "label": "word", "group": "word", "role": "word",
    "genre": "word", "permission": "word",
    "product": "catch_phrase", "project": "catch_phrase", "item": "catch_phrase",
    "language": "language", "currency": "currency", "file": "file_name", "document": "file_name",
    "domain": "domain", "host": "host",
}  # fmt: skip
"""For a model with a ``name``: the word that says what it is called, where that is no person's."""


def spelled(name: str) -> str:
    """Return a name in lower case, its words apart, without numbers at its end."""
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return name.strip("_").rstrip("0123456789").strip("_")


def looked_up(name: str, table: list[Any], thing: str = "") -> tuple[str, Any] | None:
    """Return the word of a table that a field's name ends in, and its entry.

    Args:
        name: The name.
        table: The table.
        thing: The name of the model.
    """
    words = spelled(name).split("_")
    if words == ["name"]:
        of_thing = THINGS.get(spelled(thing).rpartition("_")[2])
        words = of_thing.split("_") if of_thing else words
    elif words[-1] == "name" and words[-2] in THINGS:
        words = THINGS[words[-2]].split("_")
    for start in range(len(words)):
        word = "_".join(words[start:])
        for entry in table:
            if word in entry.words:
                return word, entry
    return None
