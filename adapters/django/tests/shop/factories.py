"""Factories of the models that most tests need."""

from __future__ import annotations

import factory
from async_factory_boy_django import AsyncDjangoModelFactory

from tests.shop.models import Company, Post, User


class CompanyFactory(AsyncDjangoModelFactory[Company]):
    class Meta:
        model = "shop.Company"

    name = factory.Sequence(lambda n: f"company{n}")
    size = 10


class NamedCompanyFactory(CompanyFactory):
    class Meta:
        django_get_or_create = ("name",)


class UserFactory(AsyncDjangoModelFactory[User]):
    class Meta:
        model = User

    name = factory.Sequence(lambda n: f"user{n}")
    company = factory.SubFactory(CompanyFactory)
    company_key = factory.LazyAttribute(lambda user: user.company.id)


class PostFactory(AsyncDjangoModelFactory[Post]):
    class Meta:
        model = Post

    title = factory.Sequence(lambda n: f"post{n}")
    author = factory.SubFactory(UserFactory)
