"""The code under test: it reads both stores."""

from pymongo.asynchronous.database import AsyncDatabase
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from models import Customer, Document


async def most_interested(
    session: AsyncSession, database: AsyncDatabase[Document], path: str
) -> list[tuple[str, int]]:
    """Return the customers who were at `path`, with the seconds spent there, longest first."""
    found = await database["visits"].aggregate(
        [
            {"$match": {"path": path}},
            {"$group": {"_id": "$customer_id", "seconds": {"$sum": "$seconds"}}},
            {"$sort": {"seconds": -1}},
        ]
    )
    seconds = {group["_id"]: group["seconds"] async for group in found}
    customers = await session.scalars(select(Customer).where(Customer.id.in_(seconds)))
    names = {customer.id: customer.name for customer in customers}
    return [(names[key], total) for key, total in seconds.items() if key in names]
