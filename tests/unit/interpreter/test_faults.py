"""Problems and their types: E2, E3, T28."""

import pytest

from perdure.interpreter.faults import BASE, STANDARD, is_same_type, problem, standard_name


@pytest.mark.parametrize("name", STANDARD)
def test_standard_problems(name):
    assert problem(name) == {"type": BASE + name, "status": STANDARD[name]}
    assert standard_name(BASE + name) == name


def test_a_problem_holds_what_is_given():
    made = problem("runtime", status=501, title="t", detail="d", instance="/i")
    assert made == {"type": BASE + "runtime", "status": 501, "title": "t", "detail": "d", "instance": "/i"}


@pytest.mark.parametrize("domain", ["open-workflow-specification.org", "serverlessworkflow.io"])
@pytest.mark.parametrize("base", ["/spec/1.0.0/errors/", "/dsl/errors/types/", "/errors/types/"])
def test_standard_types_are_equal_under_every_base(domain, base):
    assert is_same_type(f"https://{domain}{base}timeout", BASE + "timeout")
    assert not is_same_type(f"https://{domain}{base}timeout", BASE + "runtime")


def test_other_types_are_compared_literally():
    assert is_same_type("https://x/compliance", "https://x/compliance")
    assert not is_same_type("https://x/timeout", BASE + "timeout")
    assert not is_same_type(BASE + "compliance", "https://serverlessworkflow.io/errors/types/compliance")
    assert not is_same_type(None, BASE + "timeout")
