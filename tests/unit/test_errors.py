"""What libraries say, and that they are missing, as sentences of ours."""

import pytest

from perdure.errors import Invalid, extra, reason


def test_a_missing_extra_says_which_to_install():
    with pytest.raises(Invalid) as raised, extra("kafka", "Kafka"):
        import a_library_that_nobody_has  # noqa: F401
    assert raised.value.message == "Kafka needs libraries that are not installed (a_library_that_nobody_has)."
    assert raised.value.hint == "Run `pip install 'perdure[kafka]'`."


@pytest.mark.parametrize(("error", "said"), [
    (OSError("refused\nsecond line"), "refused"),
    (TimeoutError(), "TimeoutError"),
    (ValueError("\n "), "ValueError"),
])  # fmt: skip
def test_a_reason_is_one_line(error, said):
    assert reason(error) == said
