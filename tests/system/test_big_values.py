"""Results of 5 MB on a Temporal server, whose own limit is 2 MB: by name, from a directory and from a bucket in S3."""

import importlib.util
import time
import uuid

import pytest

pytest.importorskip("temporalio")

from perdure import wiring
from perdure.language.read import read
from perdure.settings import Settings
from tests.servers import s3

pytestmark = pytest.mark.slow
BYTES = 5_000_000
FUNCTIONS = '''
import perdure

@perdure.function(effect="read")
async def much(letter: str) -> dict:
    """Five megabytes."""
    return {"text": letter * 5_000_000}
'''
DOCUMENT = """
document: { dsl: 1.0.3, namespace: t, name: big, version: 1.0.0 }
do:
  - first: { call: much, with: { letter: x } }
  - both:
      fork:
        branches:
          - a: { call: much, with: { letter: a } }
          - b: { call: much, with: { letter: b } }
"""


@pytest.mark.parametrize("store", ["directory", "rclone", "SeaweedFS"])
async def test_results_of_five_megabytes(store, temporal_server, tmp_path, require, took_part):
    took_part("Temporal server")
    chosen = {"temporal_store": str(tmp_path / "store")}
    if store == "directory":
        await run(temporal_server.target, tmp_path, chosen)
        return
    require(s3.program(store).exists() and importlib.util.find_spec("obstore") is not None, s3.MISSING)
    took_part(f"S3 of {store}")
    folder = tmp_path / "s3"
    folder.mkdir()
    with s3.s3_server(store, folder) as server:
        chosen = {"temporal_store": "s3://values/perdure", "s3_endpoint": server.endpoint, "s3_access_key": s3.KEY}
        await run(temporal_server.target, tmp_path, {**chosen, "s3_secret_key": s3.SECRET})


async def run(target, folder, chosen):
    module = folder / "big_functions.py"
    module.write_text(FUNCTIONS)
    name = f"big-{uuid.uuid4()}"
    settings = Settings(engine="temporal", temporal_address=target, temporal_installation=name, **chosen)
    installation = wiring.installation(folder, settings, modules=[str(module)])
    async with installation.open():
        worker = wiring.temporal_worker(
            installation, folder, settings, queues=("workflows", "functions"), calls=10, drain=0
        )
        await worker.open()
        try:
            began = time.monotonic()
            id = await installation.engine.start("acme", read(DOCUMENT).value, {})
            ended = await installation.engine.wait("acme", id)
            assert ended.status == "completed", ended.error
            assert ended.output == [{"text": "a" * BYTES}, {"text": "b" * BYTES}]
            assert time.monotonic() - began < 60
        finally:
            await worker.close()
