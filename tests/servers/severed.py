"""A TCP proxy before a database that cuts a connection where it hurts: after a commit, before its answer."""

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Proxy:
    """`cuts` is how many commits are still to be cut off from their answer; `cut` how many were."""

    def __init__(self, target: int) -> None:
        self.port = 0
        self.cuts = 0
        self.cut = 0
        self._target = target

    def __repr__(self) -> str:
        return f"Proxy({self.port}, cut={self.cut})"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a client."""
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._target)
        answers = asyncio.ensure_future(self._pass(server_reader, writer))
        try:
            while data := await reader.read(65536):
                if b"COMMIT" in data and self.cuts > 0:
                    self.cuts -= 1
                    self.cut += 1
                    answers.cancel()
                    server_writer.write(data)
                    await server_reader.read(65536)  # the commit is made; its answer ends here
                    return
                server_writer.write(data)
        finally:
            answers.cancel()
            server_writer.close()
            writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()


@contextlib.asynccontextmanager
async def severed(target: int) -> AsyncIterator[Proxy]:
    """A proxy on a free port, before the server at `target`."""
    proxy = Proxy(target)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
