"""`try`, `catch`, retries and time limits: T21 to T28, E4, 6.5."""

import pytest

from perdure.interpreter import commands as c
from perdure.interpreter import events as e
from tests.unit.interpreter.dialogue import START, Dialogue, run

BASE = "https://open-workflow-specification.org/spec/1.0.0/errors/"


def tried(catch, task="call: noop", **options):
    return run(
        f"do: [{{t: {{try: [{{a: {{{task}}}}}], catch: {catch}}}}}, {{after: {{set: '{{out: .}}'}}}}]",
        {"in": 1},
        **options,
    )


# Catching


def test_catch_without_anything_gives_the_input():
    assert tried("{}").fail(503).output == {"out": {"in": 1}}


def test_success_passes_through():
    assert tried("{do: [{x: {set: {v: 1}}}]}").complete("fine").output == {"out": "fine"}


@pytest.mark.parametrize(
    ("filter_", "catches"),
    [
        ("{status: 503}", True),
        ("{status: 404}", False),
        ("{type: 'https://serverlessworkflow.io/dsl/errors/types/communication'}", True),
        ("{type: 'https://serverlessworkflow.io/dsl/errors/types/timeout'}", False),
        ("{type: 'https://example/communication'}", False),
        ("{title: Down, detail: Really}", True),
        ("{title: Down, detail: Other}", False),
        ("{instance: /do/0/t/try/0/a}", True),
    ],
)
def test_filters_match_the_given_fields_exactly(filter_, catches):
    d = tried(f"{{errors: {{with: {filter_}}}}}").fail(503, title="Down", detail="Really")
    assert d.status == ("completed" if catches else "faulted")


def test_when_and_except_when_see_the_error_as_dot_and_by_name():
    assert tried("{when: '.status == 503 and $error.status == 503'}").fail(503).status == "completed"
    assert tried("{when: .status == 500}").fail(503).status == "faulted"
    assert tried("{as: err, exceptWhen: $err.status == 503}").fail(503).status == "faulted"
    assert tried("{as: err, exceptWhen: $err.status == 500}").fail(503).status == "completed"


def test_a_condition_of_a_catch_that_fails_takes_the_place_of_the_error():
    error = tried("{when: '.status'}").fail(503).error
    assert error["type"] == BASE + "expression"
    assert error["instance"] == "/do/0/t"


def test_catch_do_starts_with_the_input_and_sees_the_error():
    d = tried("{do: [{x: {set: '{dot: ., status: $error.status}'}}]}").fail(503)
    assert d.output == {"out": {"dot": {"in": 1}, "status": 503}}
    assert d.paths("task.completed")[0] == "/do/0/t/catch/do/0/x"


def test_a_fault_in_catch_do_is_not_caught_again():
    assert tried("{do: [{x: {raise: {error: {type: t, status: 9}}}}]}").fail(503).error["status"] == 9


def test_catch_then_wins_over_the_tasks_then():
    text = """
    do:
      - t:
          try: [{a: {raise: {error: {type: t, status: 1}}}}]
          catch: {%s then: c}
          then: b
      - b: {set: {at: b}, then: end}
      - c: {set: '{at: "c", from: .}'}
    """
    assert run(text % "", {"in": 1}).output == {"at": "c", "from": {"in": 1}}
    assert run(text % "do: [{x: {set: {v: 1}}}],").output == {"at": "c", "from": {"v": 1}}
    assert run(text.replace("raise: {error: {type: t, status: 1}}", "set: {v: 2}") % "").output == {"at": "b"}


def test_nested_tries():
    d = run(
        """
        do:
          - outer:
              try:
                - inner:
                    try: [{a: {call: noop}}]
                    catch: {errors: {with: {status: 404}}}
              catch: {do: [{x: {set: '{caught: $error.status}'}}]}
        """
    ).fail(503)
    assert d.output == {"caught": 503}
    assert d.paths("task.faulted") == ["/do/0/outer/try/0/inner/try/0/a", "/do/0/outer/try/0/inner"]


# Retrying


def test_retries_until_the_policy_refuses_then_do_then_then():
    d = tried("{retry: {limit: {attempt: {count: 2}}, delay: PT1S}, do: [{x: {set: {gave: up}}}]}")
    paths = [d.call().path]
    for _ in range(2):
        d.fail()
        assert d.status == "waiting"
        d.pass_time(1_000)
        paths.append(d.call().path)
    assert paths == ["/do/0/t/try/0/a", "/do/0/t~2/try/0/a", "/do/0/t~3/try/0/a"]
    assert d.fail().output == {"out": {"gave": "up"}}
    assert [x.data["attempt"] for x in d.told("task.retried")] == [2, 3]


def test_the_last_error_is_raised_again_when_there_is_neither_do_nor_then():
    d = tried("{retry: {limit: {attempt: {count: 1}}}}").fail(501).fail(502)
    assert d.error["status"] == 502


def test_a_count_of_nothing_never_retries():
    assert tried("{retry: {limit: {attempt: {count: 0}}}, then: continue}").fail().output == {"out": {"in": 1}}


def test_the_policys_own_conditions():
    assert (
        tried("{retry: {when: .status == 503, limit: {attempt: {count: 9}}}}").fail(503).fail(500).error["status"]
        == 500
    )
    assert (
        tried("{retry: {exceptWhen: $error.status == 500, limit: {attempt: {count: 9}}}}").fail(503).fail(500).status
        == "faulted"
    )


def test_a_policy_by_name():
    d = run(
        "use: {retries: {r: {limit: {attempt: {count: 1}}}}}\ndo: [{t: {try: [{a: {call: x}}], catch: {retry: r}}}]"
    )
    assert d.fail().complete(1).output == 1


@pytest.mark.parametrize(
    ("backoff", "delays"),
    [
        ("constant: {}", [1000, 1000, 1000]),
        ("linear: {}", [1000, 2000, 3000]),
        ("linear: {factor: 2}", [1000, 3000, 5000]),
        ("exponential: {}", [1000, 2000, 4000]),
        ("exponential: {factor: 3}", [1000, 3000, 9000]),
        ("exponential: {maxDelay: {milliseconds: 2500}}", [1000, 2000, 2500]),
    ],
)
def test_backoff(backoff, delays):
    d = tried(f"{{retry: {{delay: {{seconds: 1}}, backoff: {{{backoff}}}, limit: {{attempt: {{count: 3}}}}}}}}")
    waited = []
    for _ in delays:
        d.fail()
        timer = next(x for x in d.open.values() if isinstance(x, c.StartTimer))
        waited.append(timer.due - d.now)
        d.pass_time(waited[-1])
    assert waited == delays


def test_delays_stay_bounded():
    d = tried("{retry: {delay: P30000D, backoff: {exponential: {}}, limit: {attempt: {count: 3}}}}").fail()
    d.pass_time(30_000 * 86_400_000).fail()
    timer = next(x for x in d.open.values() if isinstance(x, c.StartTimer))
    assert timer.due - d.now == 36_525 * 86_400_000
    assert (
        tried("{retry: {backoff: {exponential: {}}, limit: {attempt: {count: 3}}}}").fail().fail().call().attempt == 3
    )


def test_jitter_is_the_same_in_every_replay_and_differs_by_attempt():
    def waits():
        d = tried("{retry: {delay: PT1S, jitter: {from: PT0S, to: PT10S}, limit: {attempt: {count: 4}}}}")
        found = []
        for _ in range(4):
            d.fail()
            timer = next(x for x in d.open.values() if isinstance(x, c.StartTimer))
            found.append(timer.due - d.now)
            d.pass_time(found[-1])
        return found

    first = waits()
    assert first == waits()
    assert len(set(first)) > 1
    assert all(1_000 <= wait <= 11_000 for wait in first)


def test_one_attempt_is_bounded():
    d = tried(
        "{errors: {with: {status: 408}}, retry: {limit: {attempt: {count: 1, duration: PT5S}}}, do: [{x: {set: '{i: $error.instance}'}}]}"
    )
    first = d.call().id
    d.pass_time(5_000)
    assert d.call().path == "/do/0/t~2/try/0/a"
    assert first not in d.open
    assert d.pass_time(5_000).output == {"out": {"i": "/do/0/t"}}


def test_all_attempts_are_bounded():
    d = tried("{retry: {delay: PT3S, limit: {duration: PT5S}}, then: continue}")
    d.pass_time(1_000).fail()
    d.pass_time(3_000)
    assert d.call().attempt == 2
    assert d.fail().output == {"out": {"in": 1}}
    d = tried("{retry: {limit: {duration: PT5S}}}").pass_time(5_000)
    assert d.error["status"] == 408


def test_a_retry_runs_the_whole_list_with_the_tries_input_and_the_context_stays():
    d = run(
        """
        do:
          - t:
              input: {from: .x}
              try:
                - a: {set: '{n: .}', export: {as: '{tries: (($context.tries // 0) + 1)}'}}
                - b: {call: noop, with: {tries: '${ $context.tries }', n: '${ .n }'}}
              catch: {retry: {limit: {attempt: {count: 1}}}}
        """,
        {"x": 7},
    )
    assert d.call().args == {"tries": 1, "n": 7}
    assert d.fail().call().args == {"tries": 2, "n": 7}


def test_the_counter_belongs_to_one_entry():
    d = run(
        "do: [{l: {for: {in: '[1,2]'}, do: [{t: {try: [{a: {call: x}}], catch: {retry: {limit: {attempt: {count: 1}}}}}}]}}]"
    )
    d.fail().complete(1).fail()
    assert d.call().path == "/do/0/l#1/do/0/t~2/try/0/a"
    assert d.complete(2).output == 2


def test_an_endless_retry_without_delay_yields():
    d = Dialogue("do: [{t: {try: [{a: {raise: {error: {type: t, status: 1}}}}], catch: {retry: {}}}}]", snapshots=False)
    out = d.hand(e.Started(now=1, run="r", tenant="t", seed="s"))
    assert isinstance(out[-2], c.StartTimer)
    assert d.do(e.CancelRequested).status == "cancelled"


# Keys (6.5)

RETRIED = "{retry: {limit: {attempt: {count: 3}}}}"


def test_a_definite_failure_gets_a_new_key_and_an_unknown_one_keeps_it():
    d = tried(RETRIED)
    first = d.call().key
    second = d.fail().call().key
    third = d.fail(outcome="unknown").call().key
    fourth = d.fail().call().key
    assert second == third
    assert len({first, second, fourth}) == 3


def test_a_call_that_was_given_up_keeps_its_key():
    d = tried("{retry: {limit: {attempt: {count: 3, duration: PT1S}}}}")
    first = d.call().key
    assert d.pass_time(1_000).call().key == first
    assert d.complete(1).state["keys"] == {}


def test_a_key_survives_nested_retries():
    d = run(
        """
        do:
          - outer:
              try:
                - inner:
                    try: [{a: {call: x}}]
                    catch: {retry: {limit: {attempt: {count: 1}}}}
              catch: {retry: {limit: {attempt: {count: 1}}}}
        """
    )
    d.fail()
    second = d.call().key
    d.fail(outcome="unknown")
    assert d.call().path == "/do/0/outer~2/try/0/inner/try/0/a"
    assert d.call().key == second
    assert d.complete(1).output == 1


def test_a_sibling_that_was_given_up_keeps_its_key():
    d = run(
        "do: [{t: {try: [{f: {fork: {branches: [{a: {call: x}}, {b: {call: y}}]}}}], catch: {retry: {limit: {attempt: {count: 1}}}}}}]"
    )
    a, b = (call.key for call in d.calls())
    d.fail()
    again = [call.key for call in d.calls()]
    assert again[0] != a
    assert again[1] == b
    d.complete(1).complete(2)
    assert d.state["status"] == "completed"


def test_no_key_is_kept_where_nothing_comes_again():
    d = run("do: [{t: {try: [{a: {call: x}}], catch: {}}}, {b: {call: y}}]").fail(outcome="unknown")
    assert d.state["keys"] == {}


# Time limits


def test_a_task_timeout_is_caught_by_an_outer_try_with_the_tasks_instance():
    d = tried(
        "{errors: {with: {status: 408}}, do: [{x: {set: '{e: $error}'}}]}", "call: noop, timeout: {after: {seconds: 2}}"
    )
    assert d.call().deadline == START + 2_000
    d.pass_time(2_000)
    error = d.output["out"]["e"]
    assert (error["type"], error["instance"]) == (BASE + "timeout", "/do/0/t/try/0/a")


def test_a_tries_own_timeout_is_not_its_own_to_catch():
    d = run("do: [{t: {timeout: {after: PT1S}, try: [{a: {call: x}}], catch: {}}}]").pass_time(1_000)
    assert d.error["instance"] == "/do/0/t"


def test_a_timeout_by_name_and_of_a_composite():
    d = run("use: {timeouts: {soon: {after: PT1S}}}\ndo: [{a: {timeout: soon, do: [{w: {wait: PT5S}}]}}]").pass_time(
        1_000
    )
    assert d.error["instance"] == "/do/0/a"
    assert not d.open


def test_a_timeout_that_is_not_needed_is_given_up():
    d = run("do: [{a: {timeout: {after: PT1S}, call: x}}, {b: {call: y}}]").complete(1)
    assert [type(x) for x in d.open.values()] == [c.ScheduleCall]
    assert run("do: [{a: {timeout: {after: PT1S}, set: {v: 1}}}]").output == {"v": 1}


def test_the_workflows_timeout_is_not_caught():
    d = run("timeout: {after: '${ .limit }'}\ndo: [{t: {try: [{a: {call: x}}], catch: {}}}]", {"limit": "PT3S"})
    assert d.call().deadline == START + 3_000
    assert d.pass_time(3_000).error["instance"] == "/timeout"
    assert not d.open
    error = run("timeout: {after: '${ .limit }'}\ndo: [{a: {set: {v: 1}}}]", {"limit": 1}).error
    assert error["instance"] == "/timeout"


def test_the_clock_of_an_attempt_stops_in_the_catch():
    d = tried("{retry: {limit: {attempt: {count: 0, duration: PT5S}}}, do: [{x: {call: slow}}]}").fail()
    assert d.call().deadline is None
    d.pass_time(9_000)
    assert d.complete("late").output == {"out": "late"}


def test_keys_that_are_kept_are_bounded():
    d = run(
        """
        do:
          - t:
              try:
                - l:
                    for: {in: '[range(1100)]'}
                    do: [{f: {fork: {compete: true, branches: [{a: {call: x}}, {b: {set: {v: 1}}}]}}}]
                - last: {call: y}
              catch: {retry: {limit: {attempt: {count: 1}}}}
        """,
        snapshots=False,
    )
    assert len(d.state["keys"]) == 1_000
    assert d.complete(1).state["keys"] == {}
