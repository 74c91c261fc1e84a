import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from beanie import PydanticObjectId, init_beanie
from beanie.operators import GTE, Inc
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel
from pymongo import AsyncMongoClient

from models import MODELS, Category, Product

MONGODB_URL = os.environ.get("MONGODB_URL", "mongodb://localhost:27017")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with AsyncMongoClient(MONGODB_URL) as client:
        await init_beanie(database=client["shop"], document_models=MODELS)
        yield


app = FastAPI(lifespan=lifespan)


class ShownProduct(BaseModel):
    id: PydanticObjectId
    name: str
    price: int
    category: str


class Purchase(BaseModel):
    quantity: int


@app.get("/categories/{name}/products")
async def products(name: str) -> list[ShownProduct]:
    category = await Category.find_one(Category.name == name)
    if category is None:
        raise HTTPException(404, "There is no such category.")
    return [
        ShownProduct(id=product.id, name=product.name, price=product.price, category=name)
        async for product in Product.find(Product.category.id == category.id).sort("price")
    ]


@app.post("/products/{product_id}/purchases", status_code=201)
async def buy(product_id: PydanticObjectId, purchase: Purchase) -> int:
    # Found and changed in one, so that nobody else gets the same piece.
    changed = await Product.find_one(
        Product.id == product_id, GTE(Product.stock, purchase.quantity)
    ).update(Inc({Product.stock: -purchase.quantity}))
    if changed.modified_count == 0:
        raise HTTPException(409, "There are not so many left.")
    return purchase.quantity
