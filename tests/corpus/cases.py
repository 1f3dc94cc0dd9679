"""The scripts behind the recorded histories: a document, its input, and what the world answers.

A script is only read when its case is recorded for the first time; the recording is what counts from then on.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from perdure.interpreter import commands as c
from perdure.interpreter import events as e
from tests.unit.interpreter.dialogue import Dialogue


class Case(NamedTuple):
    """`play` continues a run that has begun with `input`."""

    document: str
    input: Any
    play: Callable[[Dialogue], Any]


def nothing(_run: Dialogue) -> None:
    """The run ends by itself."""


def _turn(*calls: tuple[str, Any], text: str = "") -> dict[str, Any]:
    """A turn of an agent's model that wants these tools called."""
    made = [{"id": f"c{index}", "name": name, "arguments": given} for index, (name, given) in enumerate(calls)]
    return {"text": text, "toolCalls": made, "finish": "tools" if made else "stop"}


def _settle(run: Dialogue) -> None:
    """Two tools at once, one call that does not fit, an approval, an answer that is corrected."""
    usage = {"inputTokens": 40, "outputTokens": 9, "model": "m"}
    run.complete(_turn(("lookup", {"id": 7}), ("price", {"of": "cup"}), ("price", {})), usage=usage)
    run.complete({"price": 9.5}, position=1).complete("an order")
    run.complete(_turn(("refund", {"amount": 9.5}), ("guess", {})), usage=usage)
    request = run.emitted()
    decided = {"approved": True, "by": "mara", "hash": request["data"]["hash"]}
    run.event("dev.perdure.approval.decided.v1", {**decided, "hash": "another"}, subject=request["id"])
    run.event("dev.perdure.approval.decided.v1", decided, subject=request["id"])
    run.do(e.SuspendRequested).complete({"paid": True}).do(e.ResumeRequested)
    run.complete(_turn(text="It is done."), usage=usage)
    run.complete(_turn(text='{"refunded": true}'), usage=usage)


def _stumble(run: Dialogue) -> None:
    """A request fails, a call ends with an unknown outcome and again, an operator mends, and a limit is reached."""
    run.fail(503).pass_time(1_000)
    run.complete(_turn(("note", {"text": "a"}), ("note", {"text": "b"})))
    run.fail(500, position=1, outcome="unknown").pass_time(1_000)
    run.complete(_turn(("note", {"text": "b"})))
    run.fail(500, outcome="unknown").do(e.OperatorPatch, action="retry").complete("noted")
    run.complete(_turn(("note", {"text": "c"}))).fail(409, detail="Taken.")
    run.complete(_turn(("note", {"text": "d"}))).complete("noted")


def _lift(run: Dialogue) -> None:
    """Both branches are refused: one question is answered, the other one refused; a period ends; a limit passes."""

    def refuse(question: str | None, until: int | None = None) -> None:
        hold = {key: value for key, value in (("question", question), ("until", until)) if value is not None}
        detail = "The budget team (tenant, 5 US dollars today) is used up."
        run.fail(429, type="urn:perdure:error:budget", detail=detail, budget="bud_1", hold=hold)

    def settle(question: str, outcome: str) -> None:
        data = {"budget": "bud_1", "subject": "acme", "period": "2023-11-14", "outcome": outcome, "by": "mara"}
        run.event("dev.perdure.budget.settled.v1", data, subject=question)

    refuse("mark_1", run.now + 60_000)
    refuse("mark_2")
    settle("mark_2", "refused")
    settle("mark_1", "lifted")
    refuse(None, run.now + 15_000)
    run.pass_time(15_000).complete(_turn(text="Dear Sir"), usage={"inputTokens": 4, "outputTokens": 2, "model": "m"})
    refuse("mark_3", run.now + 60_000)
    run.pass_time(60_000).complete("Sent.")
    refuse("mark_4")
    run.pass_time(5_000)


def _hand_over(run: Dialogue) -> None:
    """Two summaries, a sub-agent, a conversation that is handed over, and a limit on cost that the other one reaches."""
    usage = {"inputTokens": 40, "outputTokens": 9, "model": "m", "cost": 0.01}
    for _ in range(3):
        run.complete(_turn(("note", {"text": "a"})), usage=usage).complete("x" * 500)
    run.complete(_turn(text="Three notes."), usage=usage)
    run.complete(_turn(("ask", {"what": "the price"})), usage=usage)
    run.complete(_turn(text="It is 9."), usage=usage)
    run.complete(_turn(("billing", {"about": "a refund"}), ("note", {"text": "b"})), usage=usage).complete("noted")
    run.complete(_turn(("billing", {"about": "a refund"}), text="One moment."), usage=usage)
    run.complete(_turn(("note", {"text": "c"})), usage=usage).complete("noted")
    run.complete(_turn(text="Paid back."), usage=usage)


CASES: dict[str, Case] = {
    "set-switch-jump": Case(
        """
        do:
          - count: {set: {n: '${ .n + 1 }'}, export: {as: '{last: .n}'}}
          - check: {switch: [{again: {when: .n < 3, then: count}}, {done: {then: show}}]}
          - never: {set: {n: -1}}
          - show: {set: '{n: .n, context: $context}', output: {as: '{final: .n, seen: $input.n}'}}
        """,
        {"n": 0},
        nothing,
    ),
    "do-data-flow": Case(
        """
        input: {schema: {document: {type: object}}, from: .order}
        output: {as: '{done: .}'}
        do:
          - skipped: {if: 'false', set: {x: 1}, then: end}
          - outer:
              input: {from: .items}
              do:
                - first: {set: '{got: ., raw: $task.input}'}
                - last: {call: store, with: {what: '${ .got }'}, output: {as: '{stored: .}'}, then: exit}
                - never: {set: {x: 1}}
              output: {as: '{outer: .stored, input: $input}'}
              export: {as: '{kept: .outer}'}
          - show: {set: '{prev: ., context: $context}'}
        """,
        {"order": {"items": [1, 2]}},
        lambda run: run.complete({"id": 7}),
    ),
    "for-calls-while": Case(
        """
        do:
          - loop:
              for: {each: n, at: i, in: .items}
              while: $n != 9
              do: [{ask: {call: ask, with: {n: '${ $n }', i: '${ $i }', before: '${ . }'}}}]
        """,
        {"items": [4, 5, 9, 6]},
        lambda run: run.complete("four").complete("five"),
    ),
    "fork-join-exports": Case(
        """
        do:
          - both:
              fork:
                branches:
                  - left: {call: left, export: {as: '$context + {left: .}'}}
                  - right: {do: [{w: {wait: PT2S}}, {r: {set: {v: 2}, export: {as: '$context + {right: .v}'}}}]}
          - show: {set: '{out: ., context: $context}'}
        """,
        {},
        lambda run: run.pass_time(2_000).complete("L"),
    ),
    "fork-compete": Case(
        """
        do:
          - race:
              fork:
                compete: true
                branches:
                  - slow: {call: slow}
                  - sleepy: {wait: PT1H}
                  - deaf: {listen: {to: {any: []}}}
                  - quick: {call: quick}
        """,
        {},
        lambda run: run.complete("won", position=1),
    ),
    "fork-end": Case(
        """
        do:
          - f: {fork: {branches: [{a: {call: slow}}, {b: {set: {v: 1}, then: end}}]}, output: {as: '{bare: .}'}}
          - never: {set: {v: 2}}
        """,
        {},
        nothing,
    ),
    "try-retry-backoff-jitter": Case(
        """
        use:
          retries:
            patient:
              delay: {seconds: 1}
              backoff: {exponential: {}}
              jitter: {from: PT0S, to: PT1S}
              limit: {attempt: {count: 3}}
        do:
          - t:
              try: [{a: {call: flaky}}]
              catch:
                errors: {with: {status: 503}}
                retry: patient
                do: [{sorry: {set: '{status: $error.status}'}}]
        """,
        {},
        lambda run: (
            run.fail(503, outcome="unknown").pass_time(2_000).fail(503).pass_time(3_000).fail(503).pass_time(5_000),
            run.fail(503),
        ),
    ),
    "try-uncaught": Case(
        "do: [{t: {try: [{a: {call: flaky}}], catch: {errors: {with: {status: 404}}}}}]",
        {},
        lambda run: run.fail(503, title="Down"),
    ),
    "timeouts": Case(
        """
        timeout: {after: PT1M}
        do:
          - t:
              try: [{a: {call: slow, timeout: {after: PT5S}}}]
              catch: {errors: {with: {status: 408}}, then: continue}
          - forever: {listen: {to: {one: {with: {type: never}}}}}
        """,
        {"in": 1},
        lambda run: run.pass_time(60_000),
    ),
    "raise-in-function": Case(
        """
        use:
          errors: {full: {type: https://errors.example/full, status: 507, title: '${ "No room for \\(.n)" }'}}
          functions: {check: {do: [{look: {call: look, with: {n: '${ .n }'}}}, {no: {raise: {error: full}}}]}}
        do: [{a: {call: check, with: {n: '${ .n * 2 }'}}}]
        """,
        {"n": 4},
        lambda run: run.complete({"n": 8}),
    ),
    "emit": Case(
        "do: [{a: {emit: {event: {with: {type: order.placed.v1, subject: '${ .id }', data: {order: '${ . }'}}}}}}]",
        {"id": "o-1"},
        lambda run: run.emitted(),
    ),
    "listen-correlated-all": Case(
        """
        do:
          - both:
              listen:
                to:
                  all:
                    - {with: {type: t}, correlate: {room: {from: .data.room}}}
                    - {with: {type: h, data: '${ .value > 10 }'}, correlate: {room: {from: .data.room}}}
                read: envelope
              output: {as: 'map(.data.value)'}
          - surplus: {listen: {to: {one: {with: {type: t}, correlate: {room: {from: .data.room}}}}}}
        """,
        {},
        lambda run: (
            run.event("t", {"room": 1, "value": 20}),
            run.event("h", {"room": 2, "value": 50}),
            run.event("t", {"room": 1, "value": 21}),
            run.event("h", {"room": 1, "value": 9}),
            run.event("h", {"room": 1, "value": 40}),
        ),
    ),
    "listen-foreach-until": Case(
        """
        do:
          - l:
              listen: {to: {any: [{with: {type: m}}], until: {one: {with: {type: stop}}}}}
              foreach:
                item: message
                do: [{say: {call: say, with: {text: '${ $message }', number: '${ $index }'}}}]
                output: {as: '{said: .}'}
        """,
        {},
        lambda run: (run.event("m", "a"), run.event("m", "b"), run.event("stop"), run.complete(1), run.complete(2)),
    ),
    "run-workflow": Case(
        """
        do:
          - apart: {run: {await: false, workflow: {namespace: n, name: apart, version: latest}}}
          - kid: {run: {workflow: {namespace: n, name: kid, version: 1.2.0, input: {x: '${ .x }'}}}}
        """,
        {"x": 1},
        lambda run: run.do(
            e.ChildCompleted,
            id=next(k for k, v in run.open.items() if isinstance(v, c.StartChild) and v.awaited),
            output={"y": 2},
        ),
    ),
    "http-and-secrets": Case(
        """
        use:
          secrets: [login, token]
          authentications: {shop: {basic: {use: login}}}
        do:
          - get:
              call: http
              with:
                method: get
                endpoint: {uri: 'https://shop.example/{id}', authentication: {use: shop}}
                headers: {X-Token: '${ "Bearer \\($secrets.token)" }', X-N: '${ 1 }'}
              output: {as: '{content: ., by: $authorization.scheme}'}
        """,
        {"id": "a b"},
        lambda run: run.complete({"price": 3}, usage={"bytes": 12}),
    ),
    "saga": Case(
        """
        use: {functions: {refund: {call: undo, with: {id: '${ .id }'}}}}
        do:
          - order:
              metadata: {saga: true}
              do:
                - charge:
                    call: charge
                    metadata: {compensate: {call: refund, with: {id: '${ $output.id }', for: '${ $input.who }'}}}
                - l: {for: {in: '[1, 2]'}, do: [{pack: {set: {n: '${ $item }'}, metadata: {compensate: {call: unpack, with: {n: '${ .n }'}}}}}]}
                - ship: {call: ship}
        """,
        {"who": "Ann"},
        lambda run: run.complete({"id": 9}).fail(503).complete().complete().complete(),
    ),
    "extensions": Case(
        """
        use:
          extensions:
            - log:
                extend: call
                before: [{enter: {call: log, with: {ref: '${ $task.reference }'}}}]
                after: [{leave: {call: log, with: {out: '${ . }'}}}]
            - mock:
                extend: call
                when: $task.name == "mocked"
                before: [{stand: {set: {in: stead}, then: exit}}]
        do: [{real: {call: real}}, {mocked: {call: real}}]
        """,
        {},
        lambda run: run.complete().complete("R").complete().complete().complete(),
    ),
    "operator": Case(
        "do: [{f: {fork: {branches: [{a: {call: one}}, {b: {call: two}}, {w: {wait: PT1M}}]}}}, {last: {call: last}}]",
        {},
        lambda run: (
            run.fail(500),
            run.do(e.OperatorPatch, action="retry"),
            run.complete("two").complete("one").pass_time(60_000),
            run.fail(500, outcome="unknown"),
            run.do(e.OperatorPatch, action="skip", output="mended", has_output=True),
        ),
    ),
    "suspend-resume-cancel": Case(
        "do: [{a: {call: one}}, {b: {call: two, metadata: {compensate: {call: undo}}}}, {w: {wait: P1D}}]",
        {},
        lambda run: (
            run.do(e.SuspendRequested).complete(1).do(e.ResumeRequested).complete(2),
            run.do(e.CancelRequested, compensate=True).complete(),
        ),
    ),
    "slices": Case(
        "do: [{l: {for: {in: '[range(2100)]'}, do: [{x: {set: '. + 1'}}], output: {as: '{sum: .}'}}}]",
        0,
        nothing,
    ),
    "agent-tools-approval-output": Case(
        """
        use:
          functions:
            lookup: {do: [{get: {call: fetch, with: {id: '${ .id }'}}}, {shape: {set: '{found: .}'}}]}
        do:
          - ask:
              call: agent
              with:
                instruction: Settle the case.
                input: '${ .case }'
                memory: [{role: user, content: Hello.}, {role: assistant, content: Good day.}]
                tools:
                  - lookup
                  - {name: price, version: '1.0.0', description: A price., parameters: {type: object, required: [of]}}
                  - {name: refund, parameters: {type: object, required: [amount]}}
                approval: [refund]
                limits: {turns: 9, tokens: 900, duration: PT1H}
                output: {type: object, required: [refunded], properties: {refunded: {type: boolean}}}
              output: {as: '{settled: .}'}
              timeout: {after: {hours: 2}}
          - show: {set: '{out: .}'}
        """,
        {"case": {"id": 7, "text": "The cup came broken."}},
        _settle,
    ),
    "agent-faults": Case(
        """
        do:
          - guarded:
              try:
                - ask:
                    call: agent
                    with:
                      instruction: Do it.
                      tools: [{name: note, parameters: {type: object}}]
                      limits: {turns: 3}
              catch: {retry: {limit: {attempt: {count: 2}}, delay: PT1S}}
        """,
        {},
        _stumble,
    ),
    "agent-handover-summary-cost": Case(
        """
        use:
          functions:
            ask: {call: agent, with: {instruction: Look it up., input: '${ .what }', limits: {cost: 1}}}
            billing:
              call: agent
              with: {instruction: You are billing., tools: [{name: note, parameters: {type: object}}]}
        do:
          - guarded:
              try:
                - talk:
                    call: agent
                    with:
                      instruction: Settle it.
                      input: '${ .case }'
                      stream: true
                      tools: [ask, {name: note, parameters: {type: object}}]
                      handover: [billing]
                      context: {characters: 2000, full: summarize}
                      limits: {turns: 50, cost: 0.5}
              catch: {as: error, do: [{told: {set: {said: '${ $error.detail }'}}}]}
          - show: {set: '{out: .}'}
        """,
        {"case": "The cup came broken."},
        _hand_over,
    ),
    "budget-hold": Case(
        """
        do:
          - both:
              fork:
                branches:
                  - write:
                      call: agent
                      with: {instruction: Write to them., tools: [{name: note, parameters: {type: object}}]}
                  - count:
                      try: [{sum: {call: infer, with: {instruction: How many?}}}]
                      catch: {errors: {with: {type: 'urn:perdure:error:budget'}}, as: error, do: [{none: {set: '${ $error }'}}]}
          - send: {call: infer, with: {instruction: Send it.}}
          - last: {call: infer, with: {instruction: Bye.}, timeout: {after: PT5S}}
        """,
        {},
        _lift,
    ),
}
