"""DBOS's rounds on SQLite. A call is a step."""

import asyncio
import importlib.metadata
import sqlite3
import sys
from pathlib import Path

from dbos import DBOS
from rounds import AT_ONCE, BRANCHES, CALLS, serve


@DBOS.step()
async def noop() -> None:
    return None


@DBOS.workflow()
async def sequence() -> None:
    for _ in range(CALLS):
        await noop()


@DBOS.workflow()
async def parallel() -> None:
    await asyncio.gather(*(noop() for _ in range(BRANCHES)))


async def main(folder: Path) -> None:
    path = folder / "dbos.db"
    DBOS(
        config={
            "name": "bench",
            "system_database_url": f"sqlite:///{path}",
            "run_admin_server": False,
            "log_level": "ERROR",
        }
    )
    DBOS.launch()
    mode = sqlite3.connect(path).execute("PRAGMA journal_mode").fetchone()[0]

    async def w10() -> None:
        await (await DBOS.start_workflow_async(sequence)).get_result()

    async def fan40() -> None:
        handles = [await DBOS.start_workflow_async(parallel) for _ in range(AT_ONCE)]
        await asyncio.gather(*(handle.get_result() for handle in handles))

    durability = f"SQLite journal_mode={mode}, synchronous=FULL (the library's default, not changed by DBOS)"
    ready = {"version": importlib.metadata.version("dbos"), "durability": durability}
    await serve(ready, {"w10": w10, "fan40": fan40})
    DBOS.destroy()


asyncio.run(main(Path(sys.argv[1])))
