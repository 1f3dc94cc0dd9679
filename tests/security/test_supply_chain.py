"""S15: what runs here is what the locks name, by hash, and the bill of materials says so; nothing runs at every start of
Python that nobody knows of."""

import importlib.metadata
import importlib.util
import json
import re
import runpy
import site
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT

KNOWN = {
    "distutils-precedence.pth": r"import os; var = 'SETUPTOOLS_USE_DISTUTILS'; enabled = os\.environ\.get\(var, 'local'\) == 'local'; "
    r"enabled and __import__\('_distutils_hack'\)(\.add_shim\(\))?;\s*",
    "a1_coverage.pth": re.escape("""import sys; exec('import os\\n\\nif os.getenv("COVERAGE_PROCESS_START") or """)
    + re.escape(
        """os.getenv("COVERAGE_PROCESS_CONFIG"):\\n try:\\n  import coverage\\n except:\\n  pass\\n else:\\n  """
    )
    + re.escape("""coverage.process_startup(slug="pth")')""")
    + r"\s*",
}
"""Files that Python runs lines of at every start, and what may stand in them: setuptools' and that of our test tools."""


def places() -> list[Path]:
    return [Path(place) for place in site.getsitepackages() if Path(place).is_dir()]


def strange(file: Path) -> bool:
    """Whether a `.pth` file does more than name a folder of this project, and is not known."""
    text = file.read_text()
    if file.name in KNOWN:
        return len(text) > 2000 or re.fullmatch(KNOWN[file.name], text, re.DOTALL) is None
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return not file.name.startswith("__editable__.perdure-") or lines != [str(ROOT / "src")]


def test_nothing_runs_at_every_start_that_nobody_knows_of():
    assert not [str(file) for place in places() for file in sorted(place.glob("*.pth")) if strange(file)]
    assert not [str(found) for place in places() for found in place.glob("*customize.py")]


@pytest.mark.parametrize(("name", "text"), [
    ("litellm_init.pth", "import os, subprocess, sys; subprocess.Popen([sys.executable, '-c', 'x'])\n"),
    ("__editable__.perdure-0.1.0.pth", "import os\n"),
    ("distutils-precedence.pth", "import os; __import__('_distutils_hack'); __import__('evil')\n"),
])  # fmt: skip
def test_a_strange_one_is_found(tmp_path, name, text):
    file = tmp_path / name
    file.write_text(text)
    assert strange(file)


def test_no_library_of_an_installation_brings_such_a_file():
    """What users install, by the locks for users: only tools of tests have lines that run at every start."""
    wanted = set()
    for lock in ("requirements.lock", "requirements-local.lock"):
        wanted |= set(re.findall(r"^([a-z0-9-]+)==", (ROOT / lock).read_text(), re.MULTILINE))
    found = []
    for name in sorted(wanted):
        try:
            files = importlib.metadata.files(name) or ()
        except importlib.metadata.PackageNotFoundError:  # of an extra that is not installed here
            continue
        found += [f"{name}: {file}" for file in files if str(file).endswith((".pth", "customize.py"))]
    assert {line.rpartition(" ")[2] for line in found} <= set(KNOWN), found


def test_no_library_that_was_taken_over_is_beside_our_secrets():
    assert importlib.util.find_spec("litellm") is None


def test_make_installs_by_hash_alone():
    text = (ROOT / "Makefile").read_text()
    assert re.search(r"^INSTALL := install .*--no-deps --require-hashes$", text, re.MULTILINE)
    others = [line for line in text.splitlines() if re.search(r"\bpip install\b|\bnpm i(nstall)?\b", line)]
    for line in others:
        assert "--no-index" in line, line
        assert line.rstrip().endswith("--editable ."), line


@pytest.mark.parametrize("lock", sorted(ROOT.glob("**/package-lock.json")), ids=lambda path: path.parent.name)
def test_packages_of_npm_are_named_by_hash_and_by_no_place(lock):
    if "node_modules" in lock.parts:
        pytest.skip("of an installed package")
    packages = {name: one for name, one in json.loads(lock.read_text())["packages"].items() if name}
    assert packages
    assert all(one["integrity"].startswith("sha512-") and "resolved" not in one for one in packages.values())


def test_what_builds_us_elsewhere_is_pinned_by_commit():
    for file in (ROOT / ".github").glob("workflows/*.y*ml") if (ROOT / ".github").is_dir() else ():
        for used in re.findall(r"uses:\s*(\S+)", file.read_text()):
            assert used.startswith("./") or re.search(r"@[0-9a-f]{40}$", used), (file.name, used)


SBOM = runpy.run_path(str(ROOT / "scripts/sbom.py"))


def test_the_bill_of_materials_names_what_the_locks_name_and_nothing_else():
    held: dict[str, set[str]] = {}
    for lock in ROOT.glob("requirements*.lock"):
        for name, version, rest in re.findall(r"^(\S+)==(\S+)((?:.|\n(?=\s))*)", lock.read_text(), re.MULTILINE):
            held.setdefault(f"pkg:pypi/{name}@{version}", set()).update(re.findall(r"sha256:(\w+)", rest))
    bill = SBOM["bill"]()
    components = bill["components"]
    assert {one["purl"]: {hash["content"] for hash in one["hashes"]} for one in components} == held
    assert len(components) == len(held)
    core = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    assert {one["name"] for one in components if one["scope"] == "required"} == core
    assert bill == SBOM["bill"]()
    assert "://" not in json.dumps(bill)


def test_a_bill_of_other_locks(tmp_path):
    """A library with another version beside it, a lock nobody installs with us, markers, and a last line without end."""
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "perdure"\nversion = "1"\nlicense = "Apache-2.0"\n')
    for name in SBOM["SCOPES"]:
        (tmp_path / name).write_text("")
    line = "    --hash=sha256:" + "a" * 64
    (tmp_path / "requirements.lock").write_text(f"one==1 \\\n{line} \\\n{line.replace('a' * 64, 'b' * 64)}")
    (tmp_path / "requirements-bench.lock").write_text(f"one==2+x ; sys_platform == 'linux' \\\n{line}\n")
    components = SBOM["bill"](tmp_path)["components"]
    assert [(one["purl"], one["scope"], len(one["hashes"])) for one in components] == [
        ("pkg:pypi/one@1", "required", 2), ("pkg:pypi/one@2%2Bx", "excluded", 1),
    ]  # fmt: skip
