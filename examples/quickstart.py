"""A small shop, filled by factories and read back from the database.

    python quickstart.py
    python quickstart.py --url postgresql+asyncpg://user:password@localhost/shop

Needs: pip install "async-factory-boy[sqlalchemy]" aiosqlite
(and for another database than SQLite, its async driver).
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

import factory
from sqlalchemy import Column, ForeignKey, String, Table, func, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, selectinload

from async_factory_boy.factory.sqlalchemy import AsyncSQLAlchemyModelFactory

# The models: customers place orders, an order has many products, a product is in many orders.


class Base(DeclarativeBase):
    pass


class Customer(Base):
    __tablename__ = "quickstart_customer"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    email: Mapped[str] = mapped_column(String(100), unique=True)


class Product(Base):
    __tablename__ = "quickstart_product"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100), unique=True)
    price: Mapped[int]


order_product = Table(
    "quickstart_order_product",
    Base.metadata,
    Column("order_id", ForeignKey("quickstart_order.id"), primary_key=True),
    Column("product_id", ForeignKey("quickstart_product.id"), primary_key=True),
)


class Order(Base):
    __tablename__ = "quickstart_order"

    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey(Customer.id))
    customer: Mapped[Customer] = relationship()
    products: Mapped[list[Product]] = relationship(secondary=order_product)


# The factories: what an object looks like when a caller says nothing about it.

PRICES = {"apples": 3, "bread": 4, "cheese": 7, "dates": 9}


class CustomerFactory(AsyncSQLAlchemyModelFactory[Customer]):
    class Meta:
        # The e-mail address is unique: a customer that has it is used again.
        sqlalchemy_get_or_create = ("email",)

    name = factory.Faker("name")
    email = factory.Sequence(lambda n: f"customer{n}@example.org")


class ProductFactory(AsyncSQLAlchemyModelFactory[Product]):
    class Meta:
        sqlalchemy_get_or_create = ("name",)

    name = factory.Iterator(PRICES)
    price = factory.LazyAttribute(lambda product: PRICES[product.name])


class OrderFactory(AsyncSQLAlchemyModelFactory[Order]):
    customer = factory.SubFactory(CustomerFactory)
    products = factory.List([factory.SubFactory(ProductFactory) for _ in range(2)])


async def fill(session: AsyncSession) -> None:
    """Create customers, products and orders."""
    # A customer and two products come into being with it.
    await OrderFactory.create_async(sqlalchemy_session=session)

    # Values may be given, also to the objects around it.
    ada = await CustomerFactory.create_async(
        name="Ada Lovelace", email="ada@example.org", sqlalchemy_session=session
    )
    cheese = await ProductFactory.create_async(name="cheese", sqlalchemy_session=session)
    await OrderFactory.create_async(customer=ada, products=[cheese], sqlalchemy_session=session)

    # Many at once.
    await OrderFactory.create_batch_async(3, sqlalchemy_session=session)


async def show(session: AsyncSession) -> None:
    """Print the orders that the database has."""
    orders = await session.scalars(
        select(Order)
        .options(selectinload(Order.customer), selectinload(Order.products))
        .order_by(Order.id)
    )
    row = "{:>5}  {:<26}  {:<24}  {:<16}  {:>5}".format
    print(row("order", "customer", "e-mail", "products", "total"))
    print(row("-" * 5, "-" * 26, "-" * 24, "-" * 16, "-" * 5))
    for order in orders:
        products = ", ".join(sorted(product.name for product in order.products))
        total = sum(product.price for product in order.products)
        print(row(order.id, order.customer.name, order.customer.email, products, total))

    print()
    for model in (Customer, Product, Order):
        count = await session.scalar(select(func.count()).select_from(model))
        print(f"{count} rows in {model.__tablename__}")


async def main(url: URL) -> None:
    engine = create_async_engine(url)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)

        # The factories flush and never commit: begin() commits at its end, if nothing failed.
        async with AsyncSession(engine) as session, session.begin():
            await fill(session)

        # A new session has none of those objects in memory: it shows what the database has.
        async with AsyncSession(engine) as session:
            await show(session)
    finally:
        await engine.dispose()


def where(url: URL) -> str:
    """Say where the rows went."""
    if url.get_backend_name() != "sqlite":
        place = url.render_as_string(hide_password=True)
    elif url.database in (None, "", ":memory:"):
        return "The rows were in memory, and are gone."
    else:
        place = f"the file {Path(url.database).resolve()}"
    return f"""The rows are in {place}.
Run it again: there will be five more orders, of the same customers and products."""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Fill a small shop, and read it back.")
    parser.add_argument(
        "--url",
        type=make_url,
        default="sqlite+aiosqlite:///quickstart.sqlite",
        help="an SQLAlchemy URL with an async driver (default: %(default)s)",
    )
    arguments = parser.parse_args()
    asyncio.run(main(arguments.url))
    print(where(arguments.url))
