Feature: Retries
  Row B23; rules T24 to T26.

  @T24 @B23
  Scenario: The count counts retries, not the first run
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: retries, version: '1.0.0' }
    do:
      - attempt:
          try: [ { ask: { call: flaky } } ]
          catch: { retry: { limit: { attempt: { count: 2 } } }, do: [ { note: { set: { gave: up } } } ] }
    """
    And the function 'flaky' always fails with:
    """yaml
    type: https://acme.example/errors/flaky
    status: 503
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    gave: up
    """
    And the call 'flaky' should have been made 3 times

  @T24 @naive
  Scenario: The attempt's duration bounds one attempt, not all of them
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: retries, version: '1.0.0' }
    do:
      - attempt:
          try: [ { ask: { call: slow } } ]
          catch: { retry: { limit: { attempt: { count: 5, duration: PT2S } } } }
    """
    And the function 'slow' answers in turn:
    """yaml
    - { output: late, after: PT1M }
    - { output: late, after: PT1M }
    - { output: early, after: PT1S }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    early
    """
    And the run should have taken PT5S

  @T24 @naive
  Scenario: The duration of the limit bounds all attempts together
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: retries, version: '1.0.0' }
    do:
      - attempt:
          try: [ { ask: { call: flaky } } ]
          catch: { retry: { delay: PT2S, limit: { duration: PT5S } }, do: [ { note: { set: { gave: up } } } ] }
    """
    And the function 'flaky' always fails with:
    """yaml
    type: https://acme.example/errors/flaky
    status: 503
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    gave: up
    """
    And the call 'flaky' should have been made 3 times

  @T24
  Scenario: Each entry of the try counts anew
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: retries, version: '1.0.0' }
    do:
      - loop:
          for: { in: '[ 1, 2 ]' }
          do:
            - attempt:
                try: [ { ask: { call: flaky } } ]
                catch: { retry: { limit: { attempt: { count: 1 } } }, do: [ { note: { set: { gave: up } } } ] }
    """
    And the function 'flaky' always fails with:
    """yaml
    type: https://acme.example/errors/flaky
    status: 503
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    gave: up
    """
    And the call 'flaky' should have been made 4 times

  @T25 @B23
  Scenario Outline: The delay grows as the policy says
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: backs-off, version: '1.0.0' }
    do:
      - attempt:
          try: [ { ask: { call: flaky } } ]
          catch:
            retry: { delay: PT2S, backoff: <backoff>, limit: { attempt: { count: 4 } } }
            do: [ { note: { set: { gave: up } } } ]
    """
    And the function 'flaky' always fails with:
    """yaml
    type: https://acme.example/errors/flaky
    status: 503
    """
    When the workflow is executed
    Then the workflow should complete
    And the run should have taken <taken>

    Examples:
      | backoff                              | taken |
      | { constant: {} }                     | PT8S  |
      | { linear: {} }                       | PT20S |
      | { exponential: {} }                  | PT30S |
      | { exponential: { factor: 3 } }       | PT80S |

  @T25 @further-retry @perdure
  Scenario: A greatest delay caps the growth
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: backs-off, version: '1.0.0' }
    do:
      - attempt:
          try: [ { ask: { call: flaky } } ]
          catch:
            retry: { delay: PT2S, backoff: { exponential: { maxDelay: PT5S } }, limit: { attempt: { count: 4 } } }
            do: [ { note: { set: { gave: up } } } ]
    """
    And the function 'flaky' always fails with:
    """yaml
    type: https://acme.example/errors/flaky
    status: 503
    """
    When the workflow is executed
    Then the workflow should complete
    And the run should have taken PT16S

  @T25 @naive @further-retry @perdure
  Scenario: Jitter is added from its range and is no new throw of the dice after a restart
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: backs-off, version: '1.0.0' }
    do:
      - attempt:
          try: [ { ask: { call: flaky } } ]
          catch:
            retry: { delay: PT10S, jitter: { from: PT1S, to: PT3S }, limit: { attempt: { count: 1 } } }
            do: [ { note: { set: { gave: up } } } ]
    """
    And the function 'flaky' always fails with:
    """yaml
    type: https://acme.example/errors/flaky
    status: 503
    """
    When the workflow is started
    And time passes: PT10.9S
    Then the call 'flaky' should have been made 1 times
    When the process is killed and started
    And time passes: PT2.2S
    Then the workflow should complete
    And the call 'flaky' should have been made 2 times

  @T26 @B23
  Scenario: A retry runs the whole list again, with the try's input
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: again, version: '1.0.0' }
    do:
      - attempt:
          try:
            - before: { set: { n: '${ .n + 1 }' } }
            - ask: { call: flaky, with: { n: '${ .n }' } }
          catch: { retry: { limit: { attempt: { count: 3 } } } }
    """
    And given the workflow input is:
    """yaml
    n: 5
    """
    And the function 'flaky' answers in turn:
    """yaml
    - { fault: { type: 'https://acme.example/errors/flaky', status: 503 } }
    - { output: fine }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    fine
    """
    And before should run 2 times
    And the call 'flaky' should have been made with:
    """yaml
    n: 6
    """

  @T26 @naive
  Scenario: What a failed attempt exported stays in the context
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: again, version: '1.0.0' }
    do:
      - attempt:
          try:
            - before: { set: { a: 1 }, export: { as: '{ tries: (($context.tries // 0) + 1) }' } }
            - ask: { call: flaky }
          catch: { retry: { limit: { attempt: { count: 3 } } } }
      - last: { set: '${ $context }' }
    """
    And the function 'flaky' answers in turn:
    """yaml
    - { fault: { type: 'https://acme.example/errors/flaky', status: 503 } }
    - { fault: { type: 'https://acme.example/errors/flaky', status: 503 } }
    - { output: fine }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    tries: 3
    """

  @B23
  Scenario: The policy's own conditions decide whether to try again
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: retries, version: '1.0.0' }
    do:
      - attempt:
          try: [ { ask: { call: flaky } } ]
          catch:
            retry: { when: .status == 503, limit: { attempt: { count: 9 } } }
            do: [ { note: { set: { status: '${ $error.status }' } } } ]
    """
    And the function 'flaky' answers in turn:
    """yaml
    - { fault: { type: 'https://acme.example/errors/flaky', status: 503 } }
    - { fault: { type: 'https://acme.example/errors/flaky', status: 404 } }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    status: 404
    """
    And the call 'flaky' should have been made 2 times

  @B23
  Scenario: A retry after an unknown outcome keeps its idempotency key, after a definite failure it gets a new one
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: retries, version: '1.0.0' }
    do:
      - attempt:
          try: [ { pay: { call: pay } } ]
          catch: { retry: { limit: { attempt: { count: 3 } } } }
    """
    And the function 'pay' answers in turn:
    """yaml
    - { fault: { type: 'https://acme.example/errors/cut', status: 500 }, outcome: unknown }
    - { fault: { type: 'https://acme.example/errors/no', status: 402 } }
    - { output: paid }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    paid
    """
    And the call 'pay' should have used 2 idempotency keys
