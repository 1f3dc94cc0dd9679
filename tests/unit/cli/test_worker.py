"""`perdure worker`, as far as it needs no server: what it is asked is right, or refused in one sentence."""

import asyncio

import pytest

from perdure.cli import worker
from perdure.cli.main import main
from perdure.errors import Invalid
from tests.servers.temporal import free_port


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ([], "The embedded engine has no workers"),
        (["--engine", "temporal", "--calls", "0"], "--calls must be 1 or more"),
        (["--engine", "temporal", "--drain", "-1"], "--drain 0 or more"),
        (["--engine", "temporal", "--health", "nowhere"], "--health nowhere is not HOST:PORT."),
    ],
)
def test_what_does_not_fit_is_refused(options, sentence, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("PERDURE_ENGINE", raising=False)
    assert main(["worker", "--data", str(tmp_path), *options]) == 2
    assert sentence in capsys.readouterr().err


async def asked(port: int, line: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(line + b"\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return answer.split(b"\r\n")[0].removeprefix(b"HTTP/1.1 ")


async def test_health_tells_alive_from_ready():
    is_working, port = asyncio.Event(), free_port()
    async with worker._health(f"127.0.0.1:{port}", is_working):
        assert await asked(port, b"GET /live HTTP/1.1") == b"200 OK"
        assert await asked(port, b"GET /ready HTTP/1.1") == b"503 Service Unavailable"
        is_working.set()
        assert await asked(port, b"GET /ready?verbose HTTP/1.1") == b"200 OK"
        assert await asked(port, b"GET / HTTP/1.1") == b"200 OK"
        assert await asked(port, b"GET /else HTTP/1.1") == b"404 Not Found"
        assert await asked(port, b"nonsense") == b"404 Not Found"


async def test_a_place_that_is_none_is_refused():
    with pytest.raises(Invalid, match="is not HOST:PORT"):
        async with worker._health("host:port", asyncio.Event()):
            pass


def test_the_queue_of_a_platform_needs_one(monkeypatch, capsys):
    monkeypatch.setenv("PERDURE_ENGINE", "temporal")
    assert main(["worker", "--queues", "platform,functions"]) == 2
    assert "PERDURE_DATABASE_URL" in capsys.readouterr().err


def test_a_worker_of_a_platform_needs_its_keys(monkeypatch, capsys):
    monkeypatch.setenv("PERDURE_ENGINE", "temporal")
    monkeypatch.setenv("PERDURE_DATABASE_URL", "postgresql://perdure@127.0.0.1:1/perdure")
    assert main(["worker"]) == 2
    assert "Set PERDURE_MASTER_KEYS" in capsys.readouterr().err
