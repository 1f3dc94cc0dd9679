"""C1 to C5, T1 to T8, and the arguments of table 1.1."""

import pytest

from perdure.errors import Invalid
from tests.unit.interpreter.dialogue import START, Dialogue, run


def test_set_replaces_and_never_merges():
    assert run("do: [{a: {set: {x: 1}}}, {b: {set: {y: 2}}}]").output == {"y": 2}


def test_transformed_output_is_the_next_raw_input():
    told = run(
        """
        do:
          - a: {set: {x: 1}, output: {as: '{seen: .x, raw: $output.x, of: $input.n}'}}
          - b: {set: '{prev: ., raw: $task.input}'}
        """,
        {"n": 5},
    )
    assert told.output == {"prev": {"seen": 1, "raw": 1, "of": 5}, "raw": {"seen": 1, "raw": 1, "of": 5}}


def test_if_sees_the_raw_input_and_runs_before_the_schema():
    d = run(
        """
        do:
          - a:
              if: .go
              input: {schema: {document: {required: [never]}}, from: .inner}
              set: {x: 1}
              output: {as: '"gone"'}
              export: {as: '{no: 1}'}
              then: end
          - b: {set: '{passed: ., context: $context}'}
        """,
        {"go": False, "inner": {"go": True}},
    )
    assert d.output == {"passed": {"go": False, "inner": {"go": True}}, "context": {}}
    assert d.paths("task.skipped") == ["/do/0/a"]
    assert "/do/0/a" not in d.paths("task.started")


@pytest.mark.parametrize("condition", ["1", '"true"', "null", ".nothing", "empty"])
def test_a_condition_that_is_no_boolean_is_an_expression_fault(condition):
    error = run(f"do: [{{a: {{if: '{condition}', set: {{x: 1}}}}}}]").error
    assert error["type"].endswith("/expression")
    assert error["status"] == 400
    assert error["instance"] == "/do/0/a"


def test_input_schema_then_from_both_on_the_raw_input():
    text = """
    do:
      - a:
          input: {schema: {document: {type: object, required: [inner]}}, from: .inner}
          set: '{input: $input, raw: $task.input, dot: .}'
    """
    assert run(text, {"inner": 1}).output == {"input": 1, "raw": {"inner": 1}, "dot": 1}
    error = run(text, {"other": 1}).error
    assert (error["type"].rsplit("/", 1)[1], error["status"]) == ("validation", 400)
    assert "inner" in error["detail"]


def test_output_schema_sees_the_transformed_output():
    text = "do: [{a: {set: {x: 1}, output: {as: .x, schema: {document: {type: string}}}}}]"
    assert run(text).error["type"].endswith("/validation")


def test_export_sees_the_transformed_output_and_replaces_the_context():
    d = run(
        """
        do:
          - a: {set: {x: 1}, output: {as: '{t: .x}'}, export: {as: '{dot: ., output: $output, raw: $task.output, old: $context}'}}
          - b: {set: {y: 2}, export: {as: '{old: $context}'}}
          - c: {set: '$context'}
        """
    )
    assert d.output == {"old": {"dot": {"t": 1}, "output": {"t": 1}, "raw": {"x": 1}, "old": {}}}


def test_export_schema_sees_the_new_context():
    text = "do: [{a: {set: {x: 1}, export: {as: '{x: 1}', schema: {document: {required: [y]}}}}}]"
    assert run(text).error["type"].endswith("/validation")
    assert run("do: [{a: {set: {x: 1}, export: {schema: {document: {required: [y]}}}}}]").error["status"] == 400


def test_an_invalid_schema_is_a_validation_fault():
    error = run("do: [{a: {set: {x: 1}, output: {schema: {document: {type: banana}}}}}]").error
    assert error["type"].endswith("/validation")


def test_no_workflow_input_means_an_empty_object():
    assert run("do: [{a: {set: '{i: $workflow.input, c: $context}'}}]", None).output == {"i": {}, "c": {}}


def test_workflow_input_and_output():
    text = """
    input: {schema: {document: {required: [in]}}, from: .in}
    output: {as: '{out: ., context: $context, input: $workflow.input}', schema: {document: {required: [out]}}}
    do: [{a: {set: '. + 1', export: {as: '{c: 1}'}}}]
    """
    assert run(text, {"in": 1}).output == {"out": 2, "context": {"c": 1}, "input": {"in": 1}}
    assert run(text, {"no": 1}).error["instance"] == "/input"
    assert run(text.replace("required: [out]", "required: [no]"), {"in": 1}).error["instance"] == "/output"
    assert run("output: {as: 'error(\"x\")'}\ndo: [{a: {set: {x: 1}}}]").error["instance"] == "/output"


def test_workflow_input_expression_fault():
    error = run("input: {from: '.a.b'}\ndo: [{a: {set: {x: 1}}}]", {"a": 1}).error
    assert (error["instance"], error["type"].rsplit("/", 1)[1]) == ("/input", "expression")


def test_descriptors():
    d = run("do: [{a: {set: '{task: $task, workflow: $workflow, runtime: $runtime}'}}]", {"n": 1})
    at = {"iso8601": "2023-11-14T22:13:20.000Z", "epoch": {"seconds": START // 1000, "milliseconds": START}}
    assert d.output["task"] == {
        "name": "a",
        "reference": "/do/0/a",
        "definition": d.document["do"][0]["a"],
        "input": {"n": 1},
        "startedAt": at,
    }
    assert d.output["workflow"] == {"id": "run-1", "definition": d.document, "input": {"n": 1}, "startedAt": at}
    assert d.output["runtime"]["metadata"] == {"tenant": "acme"}


def test_secrets_are_handles_everywhere():
    d = run(
        """
        use: {secrets: [key]}
        do:
          - a:
              call: noop
              with: {token: '${ $secrets.key.token }', header: '${ "Bearer \\($secrets.key)" }'}
        """
    )
    assert d.call().args == {
        "token": {"$perdure.secret": ["key", "token"]},
        "header": {"$perdure.parts": ["Bearer ", {"$perdure.secret": ["key"]}]},
    }


def test_strings_in_data_are_never_expressions():
    assert run("do: [{a: {set: {x: '${ .text }'}}}]", {"text": "${ 1 + 1 }"}).output == {"x": "${ 1 + 1 }"}


@pytest.mark.parametrize(
    "text",
    [
        "do: [{a: {input: {from: $input}, set: {x: 1}}}]",
        "do: [{a: {if: $output, set: {x: 1}}}]",
        "input: {from: $context}\ndo: [{a: {set: {x: 1}}}]",
        "output: {as: $input}\ndo: [{a: {set: {x: 1}}}]",
        "do: [{a: {set: {x: '${ $item }'}}}]",
    ],
)
def test_arguments_that_a_place_does_not_offer_are_refused(text):
    with pytest.raises(Invalid):
        Dialogue(text)


def test_no_output_is_null_and_the_first_of_several_counts():
    assert run("do: [{a: {set: {x: '${ empty }', y: '${ 1, 2 }'}}}]").output == {"x": None, "y": 1}


def test_durations_from_expressions():
    d = run("do: [{a: {wait: '${ .d }'}}]", {"d": "PT2S"})
    d.pass_time(1_999)
    assert d.status == "waiting"
    assert d.pass_time(1).output == {"d": "PT2S"}
    assert run("do: [{a: {wait: '${ .d }'}}]", {"d": "soon"}).error["type"].endswith("/expression")


def test_loose_mode_keeps_what_fails():
    d = run("evaluate: {mode: loose}\ndo: [{a: {set: {x: '${ .a.b }', y: .n, z: hello there}}}]", {"a": 1, "n": 7})
    assert d.output == {"x": "${ .a.b }", "y": 7, "z": "hello there"}
