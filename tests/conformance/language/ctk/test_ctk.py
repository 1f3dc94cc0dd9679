"""The specification's compatibility kit, unmodified: every scenario, in every mode. The folder is not copied here."""

import pytest
from pytest_bdd import scenarios

from tests.conftest import SPECIFICATION

FEATURES = SPECIFICATION / "ctk"

if not FEATURES.is_dir():
    pytest.skip(
        "skipped: the compatibility kit was not found beside the repository (../shared/ows/ctk)",
        allow_module_level=True,
    )

scenarios(str(FEATURES))
