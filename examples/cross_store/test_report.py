import factories
from async_factory_boy import lint
from factories import CustomerFactory, VisitFactory
from report import most_interested


async def test_most_interested(session, tracking_database):
    ada = await CustomerFactory.create_async(name="Ada")
    await VisitFactory.create_batch_async(2, customer=ada, path="/offers", seconds=30)
    await VisitFactory.create_async(customer__name="Bob", path="/offers", seconds=90)
    await VisitFactory.create_async(customer=ada, path="/help", seconds=500)

    found = await most_interested(session, tracking_database, "/offers")
    assert found == [("Bob", 90), ("Ada", 60)]


async def test_a_curious_customer(session, tracking_database):
    customer = await CustomerFactory.create_async(curious=True)

    assert await tracking_database["visits"].count_documents({"customer_id": customer.id}) == 3
    assert await most_interested(session, tracking_database, "/") == [(customer.name, 30)]


async def test_factories(session, tracking_database):
    await lint(factories)  # undone in both stores
    assert await tracking_database["visits"].count_documents({}) == 0
