"""The models of the benchmarks on SQLAlchemy, for every library that is measured on it."""

from __future__ import annotations

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from benchmarks.declarations import Models


class Base(DeclarativeBase):
    pass


class _Named:
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100))


class _Person(_Named):
    email: Mapped[str] = mapped_column(String(100))
    age: Mapped[int]
    active: Mapped[bool]


class Person(_Person, Base):
    __tablename__ = "sqlalchemy_person"


class Company(_Named, Base):
    __tablename__ = "sqlalchemy_company"

    users: Mapped[list[User]] = relationship(back_populates="company")


class User(_Person, Base):
    __tablename__ = "sqlalchemy_user"

    company_id: Mapped[int] = mapped_column(ForeignKey(Company.id), index=True)
    company: Mapped[Company] = relationship(back_populates="users")
    posts: Mapped[list[Post]] = relationship(back_populates="author")


class Post(Base):
    __tablename__ = "sqlalchemy_post"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(100))
    author_id: Mapped[int] = mapped_column(ForeignKey(User.id), index=True)
    author: Mapped[User] = relationship(back_populates="posts")


class RealisticUser(_Named, Base):
    __tablename__ = "sqlalchemy_realistic_user"

    email: Mapped[str] = mapped_column(String(100))
    address: Mapped[str] = mapped_column(String(200))
    company_id: Mapped[int] = mapped_column(ForeignKey(Company.id), index=True)
    company: Mapped[Company] = relationship()
    posts: Mapped[list[RealisticPost]] = relationship(back_populates="author")


class RealisticPost(Base):
    __tablename__ = "sqlalchemy_realistic_post"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(200))
    text: Mapped[str] = mapped_column(Text)
    author_id: Mapped[int] = mapped_column(ForeignKey(RealisticUser.id), index=True)
    author: Mapped[RealisticUser] = relationship(back_populates="posts")


class Member(Base):
    """Its declarations may be taken from it."""

    __tablename__ = "sqlalchemy_member"

    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(String(100), unique=True)
    email: Mapped[str] = mapped_column(String(100), unique=True)
    first_name: Mapped[str] = mapped_column(String(100))
    last_name: Mapped[str] = mapped_column(String(100))
    city: Mapped[str] = mapped_column(String(100))
    phone: Mapped[str] = mapped_column(String(20))
    age: Mapped[int]
    active: Mapped[bool]


MODELS = Models(Person, Company, User, Post, RealisticUser, RealisticPost)
