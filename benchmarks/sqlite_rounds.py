"""The floor: durable commits of SQLite alone (WAL, synchronous FULL), one small row each."""

import asyncio
import sys
from pathlib import Path

import apsw
from rounds import CALLS, serve


async def main(folder: Path) -> None:
    connection = apsw.Connection(str(folder / "bare.db"))
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE facts (id INTEGER PRIMARY KEY, body BLOB)")
    body = b"x" * 200

    async def ten_commits() -> None:
        for _ in range(CALLS):
            with connection:
                connection.execute("INSERT INTO facts (body) VALUES (?)", (body,))

    await serve({"version": apsw.sqlite_lib_version()}, {"w10": ten_commits})


asyncio.run(main(Path(sys.argv[1])))
