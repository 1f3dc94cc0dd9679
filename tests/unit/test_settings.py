"""Settings from a mapping."""

import pytest

from perdure import settings
from perdure.adapters import secrets_environment


def test_nothing_given_is_the_defaults():
    assert settings.read({}) == settings.Settings()
    assert settings.read({"PERDURE_DATA": "  ", "HOME": "/x"}) == settings.Settings()


def test_values_become_what_their_fields_are():
    read = settings.read(
        {"PERDURE_EGRESS_ALLOW": "127.0.0.1, 10.0.0.0/8,", "PERDURE_MODEL_THREADS": "4", "PERDURE_DEBUG": "1"}
    )
    assert (read.egress_allow, read.model_threads, read.debug) == (("127.0.0.1", "10.0.0.0/8"), 4, True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PERDURE_MODEL_THREADS", "0"),
        ("PERDURE_MODEL_THREADS", "x"),
        ("PERDURE_DEBUG", "perhaps"),
        ("PERDURE_TENANT", "t" * 64),
    ],
)
def test_a_value_that_does_not_fit_names_its_setting(name, value):
    with pytest.raises(ValueError, match=f"The setting {name} does not fit"):
        settings.read({name: value})


def test_unknown_names_are_told_with_the_nearest_one():
    lines = settings.warnings(
        {"PERDURE_EGRES_ALLOW": "x", "PERDURE_SECRET_TOKEN": "t", "PERDURE_DATA": "d", "OTHER": "o"}
    )
    assert lines == ["PERDURE_EGRES_ALLOW is not a setting and is ignored. Did you mean PERDURE_EGRESS_ALLOW?"]
    assert settings.warnings({"PERDURE_QQQQQQ": "x"}) == ["PERDURE_QQQQQQ is not a setting and is ignored."]


def test_every_setting_has_its_sentence_and_no_sentence_is_left_over():
    assert list(settings.SENTENCES) == list(settings.Settings.__struct_fields__)


def test_the_prefix_of_secrets_is_the_adapters():
    assert settings.SECRET_PREFIX == secrets_environment.PREFIX


def test_a_key_is_not_shown():
    assert "s3cret" not in repr(settings.Settings(model_key="s3cret"))
