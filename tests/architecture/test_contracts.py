"""Who may import whom: the contracts of pyproject.toml."""

import subprocess
import sys

from tests.architecture.sources import ROOT


def test_every_import_contract_is_kept():
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    command = [sys.executable, "-c", program, "--no-cache"]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert checked.returncode == 0, checked.stdout[-4000:] + checked.stderr[-2000:]
