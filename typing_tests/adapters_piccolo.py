"""What the type checkers have to conclude from a factory for Piccolo; nothing here is ever run."""

from __future__ import annotations

from async_factory_boy_piccolo import AsyncPiccoloTableFactory, PiccoloAdapter
from piccolo.columns import Varchar
from piccolo.engine.sqlite import SQLiteEngine
from piccolo.table import Table
from typing_extensions import assert_type

from async_factory_boy.factory import AsyncFactory


class Company(Table):
    name = Varchar()


class CompanyFactory(AsyncPiccoloTableFactory[Company]):
    class Meta:
        model = Company
        piccolo_get_or_create = ("name",)

    name = "acme"


class PlainFactory(AsyncFactory[Company]):
    class Meta:
        model = Company
        adapter = PiccoloAdapter[Company](get_or_create=("name",), prefetch=())


async def objects() -> None:
    async with SQLiteEngine().transaction() as transaction:
        assert_type(await CompanyFactory.create_async(piccolo_transaction=transaction), Company)
    assert_type(await CompanyFactory.create_batch_async(2), list[Company])
    assert_type(CompanyFactory.build(), Company)
    assert_type(await PlainFactory.create_async(), Company)


async def adapter() -> None:
    adapter = PiccoloAdapter[Company](get_or_create=("name",))
    assert_type(await adapter.save(Company()), Company)
    assert_type(await adapter.save_many([Company()]), list[Company])
    assert_type(await adapter.find(Company, {"name": "acme"}), "Company | None")
    PiccoloAdapter(prefetch=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
