"""`examples/quickstart.py`, run as its readers run it, on each kind of database."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from tests.forks import Forks
from tests.servers import Servers

pytestmark = [pytest.mark.unmeasured, pytest.mark.versionless]

SCRIPT = Path(__file__).parent.parent / "examples" / "quickstart.py"

TABLES = [
    "quickstart_order_product",
    "quickstart_order",
    "quickstart_product",
    "quickstart_customer",
]

CUSTOMERS = [f"{name}@example.org" for name in ("ada", *(f"customer{n}" for n in (0, 2, 3, 4)))]


def quickstart(forks: Forks, *arguments: str, cwd: Path) -> str:
    done = forks.run("-W", "error", SCRIPT, *arguments, cwd=cwd)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


async def query(url: str, *statements: str) -> list[list[tuple[Any, ...]]]:
    """Return the rows of each statement, on a connection that has nothing to do with the script."""
    engine = create_async_engine(url)
    try:
        async with engine.begin() as connection:
            results = [await connection.execute(text(one)) for one in statements]
            return [[tuple(row) for row in r] if r.returns_rows else [] for r in results]
    finally:
        await engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
async def url(
    request: pytest.FixtureRequest, servers: Servers, tmp_path: Path
) -> AsyncGenerator[str]:
    if request.param == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path / 'shop.sqlite'}"
        return
    if request.param == "postgresql":
        url = servers.new_postgres().replace("postgresql://", "postgresql+asyncpg://")
    else:
        url = servers.new_mysql().replace("mysql://", "mysql+asyncmy://")
    yield url
    await query(url, *(f"DROP TABLE IF EXISTS {table}" for table in TABLES))


async def test_twice(url: str, tmp_path: Path, forks: Forks) -> None:
    """Each run adds five orders; the second finds the customers and products of the first."""
    for run in (1, 2):
        printed = quickstart(forks, "--url", url, cwd=tmp_path)
        customers, products, orders, lines = await query(
            url,
            "SELECT email FROM quickstart_customer ORDER BY email",
            "SELECT name, price FROM quickstart_product ORDER BY name",
            "SELECT o.id, c.name, c.email FROM quickstart_order AS o"
            " JOIN quickstart_customer AS c ON c.id = o.customer_id ORDER BY o.id",
            "SELECT o.id, p.name FROM quickstart_order AS o"
            " JOIN quickstart_order_product AS op ON op.order_id = o.id"
            " JOIN quickstart_product AS p ON p.id = op.product_id ORDER BY o.id, p.name",
        )
        assert [email for (email,) in customers] == CUSTOMERS
        assert products == [("apples", 3), ("bread", 4), ("cheese", 7), ("dates", 9)]
        assert len(orders) == 5 * run
        table = [line.split() for line in printed.split("\n\n")[0].splitlines()[2:]]
        prices = dict(products)
        expected = []
        for number, name, email in orders:
            bought = [name for order, name in lines if order == number]
            total = sum(prices[product] for product in bought)
            expected.append(f"{number} {name} {email} {', '.join(bought)} {total}".split())
        assert table == expected
        assert ("Ada Lovelace", "ada@example.org") in {order[1:] for order in orders}
        assert f"{5 * run} rows in quickstart_order\n" in printed


async def test_default(tmp_path: Path, forks: Forks) -> None:
    """Without --url the rows go to a file in the current folder, and the output says so."""
    printed = quickstart(forks, cwd=tmp_path)
    file = tmp_path / "quickstart.sqlite"
    assert f"The rows are in the file {file.resolve()}.\n" in printed
    assert await query(f"sqlite+aiosqlite:///{file}", "SELECT count(*) FROM quickstart_order") == [
        [(5,)]
    ]


def test_in_memory(tmp_path: Path, forks: Forks) -> None:
    """With a database in memory, the output says that nothing remains."""
    printed = quickstart(forks, "--url", "sqlite+aiosqlite://", cwd=tmp_path)
    assert printed.endswith("The rows were in memory, and are gone.\n")
