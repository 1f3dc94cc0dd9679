"""The client of our own HTTP API, for the CLI and for users.

    with Client("http://127.0.0.1:8420", key) as perdure:
        run = perdure.do(runs.start("default.hello", {"name": "Ana"}))

What can be asked for is written once, as values (`runs.py`, `workflows.py`, ...); `Client` and `AsyncClient` only send them.
"""

from perdure.client.call import Call, Csv, Page
from perdure.client.senders import AsyncClient, Client

__all__ = ["AsyncClient", "Call", "Client", "Csv", "Page"]
