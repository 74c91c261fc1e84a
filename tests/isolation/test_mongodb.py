"""The fixtures of `beanie_database` and `mongo_database`: what is theirs, and what is refused."""

from __future__ import annotations

import pytest

from tests.isolation.kinds import KINDS, with_database
from tests.isolation.projects import Project
from tests.servers import Servers


@pytest.fixture
def on_mongo(pytester: pytest.Pytester, servers: Servers) -> Project:
    """A project on PyMongo."""
    return Project(pytester, servers, KINDS["mongo"])


@pytest.fixture
def on_beanie(pytester: pytest.Pytester, servers: Servers) -> Project:
    """A project on Beanie."""
    return Project(pytester, servers, KINDS["beanie"])


SETUP = """
    async def setup(database):
        await database.create_collection("log", capped=True, size=10_000)
        await database.create_collection("measures", timeseries={"timeField": "at"})
        await database["users"].create_index("name", unique=True)
        await database.command("create", "names", viewOn="users", pipeline=[])
"""


def with_setup(project: Project) -> None:
    """Have the database of a project set up."""
    head, line, tail = project.conftest.partition("mongo_database('")
    project.conftest = head + SETUP.replace("\n    ", "\n") + "\n\n" + line + tail
    project.conftest = project.conftest.replace(
        ")\n\n\nclass Store", ", setup=setup)\n\n\nclass Store"
    )


@pytest.mark.parametrize("loops", ["function", "session"])
def test_kinds_of_collections(on_mongo: Project, loops: str) -> None:
    """Collections of all kinds are emptied, and made again where a test drops one."""
    with_setup(on_mongo)
    on_mongo.passes(
        5,
        loops=loops,
        test_it="""
            from datetime import datetime

            @pytest.mark.parametrize("run", range(3))
            async def test_kinds(database, run):
                for name in ("log", "measures", "users", "names", "more"):
                    assert await database[name].find_one() is None
                for name in ("log", "measures", "users", "more"):
                    for _ in range(2):
                        await database[name].insert_one({"at": datetime(2030, 1, 1), "name": _})
                assert await database["names"].count_documents({}) == 2
                assert "name_1" in await database["users"].index_information()

            async def test_dropped(database):
                await database["users"].drop()

            async def test_made_again(database):
                assert "name_1" in await database["users"].index_information()
        """,
    )


def test_restored(on_mongo: Project) -> None:
    """Shared documents are the same after each test: values, types of BSON, and order."""
    with_setup(on_mongo)
    on_mongo.passes(
        6,
        loops="session",
        conftest="""
            from datetime import datetime

            from bson import Int64

            @shared(scope="session")
            async def things(database):
                documents = [{"n": Int64(1), "at": datetime(2030, 1, n + 1)} for n in range(3)]
                for name in ("things", "measures", "log"):
                    await database[name].insert_many([{**one} for one in documents])
                return await database["things"].find().to_list(None)
        """,
        test_it="""
            from datetime import datetime

            CHANGES = {
                "nothing": [],
                "added": [("insert_one", {"at": datetime(2031, 1, 1)})],
                "removed": [("delete_many", {})],
                "first": [("delete_one", {})],
                "updated": [("update_one", {}, {"$set": {"n": 1}})],
                "dropped": [("drop",)],
            }

            @pytest.mark.parametrize("change", CHANGES)
            async def test_changed(things, database, change):
                assert await database["things"].find().to_list(None) == things
                assert {type(one["n"]).__name__ for one in things} == {"Int64"}
                assert await database["measures"].count_documents({}) == 3
                assert await database["log"].count_documents({}) == 3
                for method, *arguments in CHANGES[change]:
                    await getattr(database["things"], method)(*arguments)
                await database["measures"].insert_one({"at": datetime(2032, 1, 1)})
                await database["log"].insert_one({})
                things[0]["n"] = 0
        """,
    )


def test_dicts(on_mongo: Project) -> None:
    """Dicts that tests share are copied, those of one key in two collections each for itself."""
    on_mongo.passes(
        2,
        loops="module",
        conftest="""
            @shared(scope="module")
            async def pair(database):
                both = {"_id": 1, "name": "ACME"}, {"_id": 1, "name": "Ada", "tags": ["a"]}
                for name, document in zip(["companies", "users"], both):
                    await database[name].insert_one(document)
                return [*both, both[1]]
        """,
        test_it="""
            @pytest.mark.parametrize("run", range(2))
            async def test_it(pair, database, run):
                company, user, same = pair
                assert (company["name"], user["name"]) == ("ACME", "Ada")
                assert same is user
                assert await database["users"].find_one() == user
                user["tags"].append("b")
        """,
    )


def test_links_and_state(on_beanie: Project) -> None:
    """Copies of Beanie's documents have their fetched links, and the state that was saved."""
    on_beanie.passes(
        2,
        loops="module",
        conftest="""
            @shared(scope="module")
            async def found():
                await UserFactory.create_async(name="Ada", company__name="ACME")
                return await User.find_one(User.name == "Ada", fetch_links=True)

            @shared(scope="module")
            async def unfetched(found):
                return await User.find_one(User.name == "Ada")
        """,
        test_it="""
            @pytest.mark.parametrize("run", range(2))
            async def test_it(found, unfetched, run):
                assert found.company.name == "ACME"
                assert not found.is_changed
                found.name = found.company.name = "changed"
                assert found.is_changed
                await found.save_changes()
                await found.company.save()
                assert (await User.find_one()).name == "changed"
        """,
    )


def test_initialised_elsewhere(on_beanie: Project) -> None:
    """Code that initialises Beanie itself, as an application does, changes nothing for others."""
    on_beanie.passes(
        3,
        loops="session",
        test_it="""
            from beanie import init_beanie
            from pymongo.errors import DuplicateKeyError

            @pytest.mark.parametrize("run", range(3))
            async def test_it(database, mongo_client, store, run):
                assert User.get_settings().name == "User"
                assert await store.count(User) == 0
                await UserFactory.create_async(name="Ada")
                assert await database["User"].count_documents({}) == 1
                with pytest.raises(DuplicateKeyError):
                    await UserFactory.create_async(name="Ada")
                await init_beanie(database=mongo_client["afb_other"], document_models=[Company])
        """,
    )


@pytest.mark.parametrize("kind", ["beanie_transaction", "mongo"])
def test_transaction(pytester: pytest.Pytester, servers: Servers, kind: str) -> None:
    """In a transaction, others see what tests share; what is stored beside it is removed."""
    project = Project(pytester, servers, KINDS[kind])
    project.conftest = project.conftest.replace(
        "mongo_database(", "mongo_database(transaction=True, url="
    )
    project.passes(
        3,
        loops="module",
        conftest="""
            @shared(scope="module")
            async def admin(session):
                return await UserFactory.create_async(name="admin")
        """,
        test_it="""
            def users(database):
                return database["User" if hasattr(User, "get_settings") else "users"]

            @pytest.mark.parametrize("run", range(2))
            async def test_it(admin, database, session, run):
                await UserFactory.create_async(name="Ada")
                assert await users(database).count_documents({}, session=session) == 2
                assert await users(database).count_documents({}) == 1
                await users(database).insert_one({"name": "Grace"})

            @pytest.mark.factory_database(rollback=False)
            async def test_for_real(admin, database, session):
                assert not session.in_transaction
                await UserFactory.create_async(name="Ada")
                assert await users(database).count_documents({}) == 2
        """,
    )


def test_standalone(on_mongo: Project, servers: Servers) -> None:
    """A server without transactions empties, and says what a transaction takes."""
    server = servers.standalone_mongodb
    on_mongo.conftest = on_mongo.kind.conftest(with_database(server, on_mongo.name))
    test = "async def test_it(store):\n    await UserFactory.create_async(name='Ada')"
    on_mongo.passes(1, test_it=test)
    on_mongo.conftest = on_mongo.conftest.replace("_database(", "_database(transaction=True, url=")
    result = on_mongo.run(test_it=test)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["E*transaction=True takes a replica set, and this server is in none. Start it with *"]
    )


def test_motor(on_mongo: Project) -> None:
    """The clients may be Motor's."""
    pytest.importorskip("motor.motor_asyncio")
    on_mongo.conftest = on_mongo.conftest.replace(
        "mongo_database(",
        "from motor.motor_asyncio import AsyncIOMotorClient\n\n"
        "mongo_database(client_class=AsyncIOMotorClient, transaction=True, url=",
    ).replace("import mongo_database(", "import mongo_database, (")
    on_mongo.passes(
        2,
        test_it="""
            @pytest.mark.parametrize("run", range(2))
            async def test_it(database, session, store, run):
                assert type(database).__name__ == "AsyncIOMotorDatabase"
                await UserFactory.create_async(name="Ada")
                assert await store.count(User) == 0
                assert await database["users"].count_documents({}, session=session) == 1
                await store.collections[User].insert_one({"name": "Grace"})
        """,
    )


def test_url(on_mongo: Project) -> None:
    """The database of the run has a URL, for code that makes a client of its own."""
    on_mongo.passes(
        1,
        test_it="""
            from pymongo import AsyncMongoClient

            async def test_it(database, database_of_run):
                await UserFactory.create_async(name="Ada")
                async with AsyncMongoClient(database_of_run.url) as client:
                    own = client.get_default_database()
                    assert own.name == database.name == database_of_run.name
                    assert (await own["users"].find_one())["name"] == "Ada"
        """,
    )


def test_url_of_an_account() -> None:
    """The URL of the run's database says where the account is, which the given one implies."""
    from async_factory_boy.isolation.mongo import MongoDatabase

    database = MongoDatabase("mongodb://ada:secret@one,two:1/app_test?w=1")
    with pytest.raises(Exception, match="created when the first test asks for it"):
        database.url  # noqa: B018
    database.name = "app_test_1"
    assert database.url == "mongodb://ada:secret@one,two:1/app_test_1?w=1&authSource=app_test"
    database = MongoDatabase("mongodb://ada:secret@one/?authSource=accounts")
    database.name = "test_1"
    assert database.url == "mongodb://ada:secret@one/test_1?authSource=accounts"


def test_without_a_name(on_mongo: Project, servers: Servers) -> None:
    """If the URL names no database, the new one is called test."""
    on_mongo.conftest = on_mongo.kind.conftest(servers.mongodb)
    on_mongo.passes(
        1,
        test_it="""
            async def test_it(database):
                assert database.name.startswith("test_")
        """,
    )


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql://localhost/app_test", "takes the URL of a MongoDB server, such as"),
        ("mongodb://localhost/app_test?w=x=y", "this URL, or an option, is not one that"),
        (
            "mongodb://ada:secret@127.0.0.1:1/app_test",
            "('mongodb://ada:***@127.0.0.1:1/app_test'): cannot connect to the server: "
            "127.0.0.1:1: [Errno 111] Connect",
        ),
    ],
)
@pytest.mark.parametrize("kind", ["beanie", "mongo"])
def test_refused_urls(
    pytester: pytest.Pytester, servers: Servers, kind: str, url: str, message: str
) -> None:
    """What is wrong with a URL or a server is told, and once."""
    project = Project(pytester, servers, KINDS[kind])
    project.conftest = project.kind.conftest(url)
    tests = "async def test_1(database): ...\n\nasync def test_2(database): ..."
    result = project.run(test_it=tests)
    told = "".join((result.stdout.str() + result.stderr.str()).splitlines())
    assert message in told
    assert f"{project.kind.call}(" in told
    assert "secret" not in told
    if "takes the URL" not in message:
        result.assert_outcomes(errors=2)
        # Nothing of what PyMongo tells of its own state.
        assert "Topology" not in told.rpartition("FixtureError: ")[2]
        result.stdout.fnmatch_lines(["*has no database for this test: see the error of*"])


def test_unknown_account(on_mongo: Project, servers: Servers) -> None:
    """An account that the server does not know is told."""
    url = with_database(servers.mongodb, "app_test").replace("://", "://ada:secret@", 1)
    on_mongo.conftest = on_mongo.kind.conftest(url)
    result = on_mongo.run(test_it="async def test_it(database): ...")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["E*cannot connect to the server: Authentication failed. Start *"])


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ("[]", "takes the documents that the tests use, and got none"),
        ("User", "takes a list of documents; got the class User."),
        ("[User, UserFactory]", "the paths of such, 'app.models.User'; got the class UserFactory."),
        ("[User, 3]", "the paths of such, 'app.models.User'; got 3."),
    ],
)
def test_refused_models(on_beanie: Project, models: str, message: str) -> None:
    """What is no document is refused, with what to write."""
    on_beanie.conftest = on_beanie.conftest.replace("[Company, User]", models)
    result = on_beanie.run(test_it="async def test_it(database): ...")
    assert message in result.stdout.str() + result.stderr.str()


@pytest.mark.parametrize("allowed", [False, True])
def test_database_of_others(on_mongo: Project, servers: Servers, allowed: bool) -> None:
    """A database that is not for tests is left alone, unless that is meant."""
    from pymongo import MongoClient

    name = on_mongo.name.replace("test", "shop")
    on_mongo.name = name
    on_mongo.conftest = on_mongo.kind.conftest(with_database(servers.mongodb, name))
    if allowed:
        on_mongo.conftest = on_mongo.conftest.replace(
            "mongo_database(", "mongo_database(allow_existing=True, url="
        )
    with MongoClient[dict[str, object]](servers.mongodb) as client:
        client[name]["orders"].insert_one({"paid": True})
        test = "async def test_it(store):\n    assert not await store.count(User)"
        result = on_mongo.run(test_it=test)
        assert client[name]["orders"].count_documents({}) == 1
        client.drop_database(name)
    result.assert_outcomes(**{"passed" if allowed else "errors": 1})
    if not allowed:
        result.stdout.fnmatch_lines(
            [f"E*the database '{name}' exists and has collections (orders, ...). Its name *"]
        )
