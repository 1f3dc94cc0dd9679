# ruff: noqa: INP001 - a script; no package
"""Writes what an installation of Perdure may hold as a CycloneDX bill of materials, from the lock files alone.

The same locks give the same bytes: there is no moment, no chance and no address in it.
"""

import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SCOPES = {"requirements.lock": "required", "requirements-server.lock": "optional", "requirements-local.lock": "optional",
          "requirements-test.lock": "optional"}  # fmt: skip
"""Of all other locks: `excluded`, never beside Perdure. The test lock holds the extras that have no lock of their own."""
_PIN = re.compile(r"^([a-z0-9-]+)==([^ ;\\\n]+)([^\n]*\n(?: +--hash=sha256:[0-9a-f]{64}[^\n]*\n)+)", re.MULTILINE)


def pins(text: str) -> list[tuple[str, str, list[str]]]:
    """Name, version and hashes of everything that a lock names."""
    found = _PIN.findall(text if text.endswith("\n") else text + "\n")
    return [(name, version, re.findall(r"sha256:([0-9a-f]{64})", rest)) for name, version, rest in found]


def component(name: str, version: str) -> dict[str, Any]:
    purl = f"pkg:pypi/{name}@{version.replace('+', '%2B')}"
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def bill(root: Path = ROOT) -> dict[str, Any]:
    """The bill of materials of a checkout."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    held: dict[tuple[str, str], dict[str, Any]] = {}
    others = {path.name for path in root.glob("requirements*.lock")} - SCOPES.keys()
    for lock in (root / name for name in (*SCOPES, *sorted(others))):
        for name, version, hashes in pins(lock.read_text()):
            one = held.setdefault((name, version), {
                **component(name, version), "scope": SCOPES.get(lock.name, "excluded"), "hashes": [], "properties": [],
            })  # fmt: skip
            contents = {hash["content"] for hash in one["hashes"]}.union(hashes)
            one["hashes"] = [{"alg": "SHA-256", "content": content} for content in sorted(contents)]
            one["properties"].append({"name": "perdure:lock", "value": lock.name})
    itself = {**component(project["name"], project["version"]), "type": "application"}
    itself["licenses"] = [{"license": {"id": project["license"]}}]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": itself},
        "components": [held[key] for key in sorted(held)],
    }


if __name__ == "__main__":
    place = Path(sys.argv[1])
    place.parent.mkdir(parents=True, exist_ok=True)
    made = bill()
    place.write_text(json.dumps(made, indent=1) + "\n")
    print(f"sbom: {place} names {len(made['components'])} libraries")
