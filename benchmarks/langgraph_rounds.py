"""LangGraph's rounds, with its SQLite checkpointer. A call is a node; the next step waits for the checkpoint (`sync`)."""

import asyncio
import importlib.metadata
import operator
import sqlite3
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send
from rounds import AT_ONCE, BRANCHES, CALLS, serve


class State(TypedDict):
    done: Annotated[int, operator.add]


def noop(state: State) -> dict[str, int]:
    return {"done": 1}


def chain(saver: SqliteSaver) -> Any:
    graph = StateGraph(State)
    for i in range(CALLS):
        graph.add_node(f"call{i}", noop)
        graph.add_edge(f"call{i - 1}" if i else START, f"call{i}")
    graph.add_edge(f"call{CALLS - 1}", END)
    return graph.compile(checkpointer=saver)


def fan(saver: SqliteSaver) -> Any:
    graph = StateGraph(State)
    graph.add_node("call", noop)
    graph.add_conditional_edges(START, lambda state: [Send("call", {"done": 0}) for _ in range(BRANCHES)], ["call"])
    graph.add_edge("call", END)
    return graph.compile(checkpointer=saver)


def once(graph: Any, steps: int) -> None:
    config = {"configurable": {"thread_id": str(uuid.uuid4())}, "recursion_limit": 100}
    result = graph.invoke({"done": 0}, config, durability="sync")
    assert result["done"] == steps, result


async def main(folder: Path) -> None:
    connection = sqlite3.connect(folder / "graph.db", check_same_thread=False)
    saver = SqliteSaver(connection)
    saver.setup()
    mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
    level = connection.execute("PRAGMA synchronous").fetchone()[0]
    sequence, parallel = chain(saver), fan(saver)
    loop, threads = asyncio.get_running_loop(), ThreadPoolExecutor(AT_ONCE)

    async def w10() -> None:
        once(sequence, CALLS)

    async def fan40() -> None:
        await asyncio.gather(*(loop.run_in_executor(threads, once, parallel, BRANCHES) for _ in range(AT_ONCE)))

    version = importlib.metadata.version("langgraph")
    durability = f'durability="sync" (its default is "async"); SQLite journal_mode={mode}, synchronous={level}'
    await serve({"version": version, "durability": durability}, {"w10": w10, "fan40": fan40})


asyncio.run(main(Path(sys.argv[1])))
