"""Our own scenarios, in every mode."""

from pytest_bdd import scenarios

scenarios("features")
