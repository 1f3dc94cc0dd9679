"""What the model gateway adds to a request to a model, against LiteLLM's proxy and no gateway, round by round.

`python gateway.py FOLDER LITELLM` (the folder of LiteLLM's environment) prints {"versions", "rounds": {"1": {"direct":
[{"rate", "p50", "p99"}, ...], "perdure": ..., "litellm": ...}, ...}}: for each number of requests at once and each round the
requests a second, the median and the 99th percentile in milliseconds. Each is one process; LiteLLM has no database and a
quiet log, Perdure records what every request cost.
"""

import asyncio
import importlib.metadata
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from edge import Server, exchange, until_there

ROUNDS = 5
SECONDS = {1: 3.0, 16: 3.0, 64: 12.0}
"""How long one contender is asked in one round, by requests at once: a 99th percentile needs some hundred answers of the
slowest."""
WARM = 3.0
HERE = Path(__file__).parent
QUESTION = json.dumps(
    {
        "model": "fast",
        "messages": [
            {"role": "system", "content": "You are helpful."},
            {"role": "user", "content": "Say hello to the people of the town."},
        ],
    }
).encode()
PATH = "/v1/chat/completions"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def load(server: Server, at_once: int, seconds: float) -> dict[str, float]:
    """Ask for a while, so many at once."""
    taken: list[float] = []
    end = time.perf_counter() + seconds

    async def caller() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        while (began := time.perf_counter()) < end:
            status, body = await exchange(reader, writer, server.requests["chat"])
            assert status == 200, (status, body)
            taken.append(time.perf_counter() - began)
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(at_once)))
    rate = len(taken) / (time.perf_counter() - began)
    taken.sort()
    return {"rate": rate, "p50": taken[len(taken) // 2] * 1000, "p99": taken[int(len(taken) * 0.99) - 1] * 1000}


async def direct() -> Server:
    port = free_port()
    process = subprocess.Popen([sys.executable, str(HERE / "gateway_provider.py"), str(port)])
    server = Server(process, port)
    await until_there(server)
    server.requests["chat"] = server.request("POST", PATH, QUESTION, content_type="application/json")
    return server


async def ours(folder: Path, provider: Server) -> Server:
    models = folder / "models.yaml"
    models.write_text(
        f'providers: {{ fast: {{ kind: openai, url: "http://127.0.0.1:{provider.port}/v1", models: [fast] }} }}\n'
        "prices: { fast: { input: 1, output: 2 } }\n"
    )
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PERDURE_")},
        "PERDURE_MODELS": str(models),
        "PERDURE_LOG_LEVEL": "warning",
        "PERDURE_RATE_LIMITS": "model=0",
    }
    command = [sys.executable, "-m", "perdure", "up", "--port", "0", "--data", str(folder / "data")]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    text = ""
    for line in process.stdout or ():
        text += line
        if "Ctrl-C" in line:
            break
    return asked(Server(process, int(re.search(r"http://[^:]+:(\d+)", text)[1])), re.search(r"pdk_[\w-]+", text)[0])


async def litellm(folder: Path, provider: Server, program: Path) -> Server:
    key, port = f"sk-{secrets.token_hex(24)}", free_port()
    place = {"model": "openai/fast", "api_base": f"http://127.0.0.1:{provider.port}/v1", "api_key": "none"}
    settings = {
        "model_list": [{"model_name": "fast", "litellm_params": place}],
        "general_settings": {"master_key": key},
        "litellm_settings": {"telemetry": False},
    }
    file = folder / "litellm.yaml"
    file.write_text(json.dumps(settings))
    command = [str(program), "--config", str(file), "--host", "127.0.0.1", "--port", str(port)]
    log = (folder / "litellm.log").open("w")
    process = subprocess.Popen(command, cwd=folder, env={**os.environ, "LITELLM_LOG": "ERROR"}, stdout=log, stderr=log)
    server = Server(process, port)
    for _ in range(3):  # it takes long to import
        try:
            await until_there(server)
        except RuntimeError:
            continue
        return asked(server, key)
    process.terminate()
    raise RuntimeError("LiteLLM did not start")


def asked(server: Server, key: str) -> Server:
    server.requests["chat"] = server.request(
        "POST", PATH, QUESTION, content_type="application/json", authorization=f"Bearer {key}"
    )
    return server


async def measure(folder: Path, environment: Path) -> dict[str, Any]:
    provider = await direct()
    servers = {"direct": provider}
    try:
        servers["perdure"] = await ours(folder, provider)
        program = environment / "bin" / "litellm"
        versions = {"perdure": importlib.metadata.version("perdure")}
        if program.exists():
            servers["litellm"] = await litellm(folder, provider, program)
            versions["litellm"] = version_of(environment)
        for server in servers.values():
            await load(server, 4, WARM)
        rounds: dict[str, dict[str, list[dict[str, float]]]] = {}
        for at_once, seconds in SECONDS.items():
            found = rounds.setdefault(str(at_once), {name: [] for name in servers})
            for _ in range(ROUNDS):
                for name, server in servers.items():
                    found[name].append(await load(server, at_once, seconds))
        return {"versions": versions, "rounds": rounds}
    finally:
        for server in servers.values():
            server.process.terminate()
            server.process.wait()


def version_of(environment: Path) -> str:
    code = "import importlib.metadata as m; print(m.version('litellm'))"
    return subprocess.run([environment / "bin" / "python", "-c", code], capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(Path(sys.argv[1]), Path(sys.argv[2])))))
