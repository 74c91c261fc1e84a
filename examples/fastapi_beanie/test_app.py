import factories
from async_factory_boy import lint
from factories import CategoryFactory, ProductFactory
from models import Category, Product


async def test_products(client):
    dear = await ProductFactory.create_async(category__name="toys", price=90)
    cheap = await ProductFactory.create_async(category__name="toys", price=10)
    await ProductFactory.create_batch_async(3)

    response = await client.get("/categories/toys/products")
    assert response.status_code == 200
    assert [product["id"] for product in response.json()] == [str(cheap.id), str(dear.id)]
    assert await Category.find(Category.name == "toys").count() == 1


async def test_an_empty_category(client):
    await CategoryFactory.create_async(name="toys")

    assert (await client.get("/categories/toys/products")).json() == []
    assert (await client.get("/categories/tools/products")).status_code == 404


async def test_buy(client):
    product = await ProductFactory.create_async(stock=3)

    response = await client.post(f"/products/{product.id}/purchases", json={"quantity": 2})
    assert response.status_code == 201
    assert (await Product.get(product.id)).stock == 1


async def test_sold_out(client):
    product = await ProductFactory.create_async(sold_out=True)

    response = await client.post(f"/products/{product.id}/purchases", json={"quantity": 1})
    assert response.status_code == 409
    assert (await Product.get(product.id)).stock == 0


async def test_factories():
    await lint(factories)
    assert await Product.count() == 0
