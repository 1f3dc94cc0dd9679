Feature: Errors
  Rows B14, B22, E2 and E3; rules T21 to T23, T27, T28.

  @T21 @B22
  Scenario: A filter compares exactly, then the condition looks at the error
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: catches, version: '1.0.0' }
    do:
      - attempt:
          try:
            - no: { raise: { error: { type: 'https://acme.example/errors/no', status: 409, title: No, detail: sold out } } }
          catch:
            errors: { with: { type: 'https://acme.example/errors/no', status: 409, title: No, detail: sold out, instance: /do/0/attempt/try/0/no } }
            when: .status == 409 and $error.title == "No"
            exceptWhen: .detail == "broken"
            do:
              - note: { set: { same: '${ $error.detail }' } }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    same: sold out
    """

  @T21 @naive
  Scenario: A condition of catch looks at the error, not at the task's input
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: catches, version: '1.0.0' }
    do:
      - attempt:
          try:
            - no: { raise: { error: { type: 'https://acme.example/errors/no', status: 409 } } }
          catch:
            when: .caught == true
            do:
              - note: { set: { caught: true } }
    """
    And given the workflow input is:
    """yaml
    caught: true
    """
    When the workflow is executed
    Then the workflow should fault with error:
    """yaml
    type: https://acme.example/errors/no
    status: 409
    instance: /do/0/attempt/try/0/no
    """

  @T21 @naive
  Scenario: A filter on one field leaves the others free, and one field that differs lets the error pass
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: catches, version: '1.0.0' }
    do:
      - attempt:
          try:
            - no: { raise: { error: { type: 'https://acme.example/errors/no', status: 409, title: No } } }
          catch:
            errors: { with: { status: 409, title: Not } }
            do:
              - note: { set: { caught: true } }
    """
    When the workflow is executed
    Then the workflow should fault with error:
    """yaml
    type: https://acme.example/errors/no
    status: 409
    title: No
    instance: /do/0/attempt/try/0/no
    """

  @T21
  Scenario: The name of as is known in the conditions and in the tasks of catch
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: catches, version: '1.0.0' }
    do:
      - attempt:
          try:
            - no: { raise: { error: { type: 'https://acme.example/errors/no', status: 409 } } }
          catch:
            as: problem
            when: $problem.status == 409
            retry: { when: $problem.status == 409, exceptWhen: .status == 409 }
            do:
              - note: { set: { status: '${ $problem.status }' } }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    status: 409
    """

  @T22 @B22
  Scenario: When the policy gives up, the tasks of catch run, then its directive
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: gives-up, version: '1.0.0' }
    do:
      - attempt:
          try:
            - ask: { call: flaky }
          catch:
            retry: { limit: { attempt: { count: 2 } } }
            do:
              - note: { call: note, with: { status: '${ $error.status }' } }
            then: end
      - never: { set: { a: 1 } }
    """
    And the function 'flaky' always fails with:
    """yaml
    type: https://acme.example/errors/flaky
    status: 503
    """
    And the function 'note' returns:
    """yaml
    noted: true
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    noted: true
    """
    And the call 'flaky' should have been made 3 times
    And the call 'note' should have been made 1 times
    And never should not run

  @T22 @naive
  Scenario: The tasks of catch do not run between attempts
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: gives-up, version: '1.0.0' }
    do:
      - attempt:
          try:
            - ask: { call: flaky }
          catch:
            retry: { limit: { attempt: { count: 5 } } }
            do:
              - note: { set: { noted: true } }
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
    fine
    """
    And note should not run
    And the history should contain 'task.retried.v1' 2 times

  @T22 @naive
  Scenario: With neither tasks nor a directive, the last error is raised again
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: gives-up, version: '1.0.0' }
    do:
      - attempt:
          try:
            - ask: { call: flaky }
          catch:
            retry: { limit: { attempt: { count: 1 } } }
    """
    And the function 'flaky' answers in turn:
    """yaml
    - { fault: { type: 'https://acme.example/errors/first', status: 503 } }
    - { fault: { type: 'https://acme.example/errors/last', status: 500 } }
    """
    When the workflow is executed
    Then the workflow should fault with error:
    """yaml
    type: https://acme.example/errors/last
    status: 500
    instance: /do/0/attempt/try/0/ask
    """

  @T23 @perdure
  Scenario: An empty catch catches, and the try's transformed input goes on
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: swallows, version: '1.0.0' }
    do:
      - attempt:
          input: { from: .inside }
          try:
            - change: { set: { changed: true } }
            - no: { raise: { error: { type: 'https://acme.example/errors/no', status: 409 } } }
          catch: {}
    """
    And given the workflow input is:
    """yaml
    inside: { a: 1 }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    a: 1
    """

  @T23 @naive @perdure
  Scenario: A catch with only a filter swallows what fits and nothing else
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: swallows, version: '1.0.0' }
    do:
      - attempt:
          try:
            - no: { raise: { error: { type: 'https://acme.example/errors/no', status: 409 } } }
          catch: { errors: { with: { status: 409 } } }
      - again:
          try:
            - no: { raise: { error: { type: 'https://acme.example/errors/no', status: 410 } } }
          catch: { errors: { with: { status: 409 } } }
    """
    When the workflow is executed
    Then the workflow should fault with error:
    """yaml
    type: https://acme.example/errors/no
    status: 410
    instance: /do/1/again/try/0/no
    """

  @further-catch @perdure
  Scenario: The tasks of catch start with the try's transformed input
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: catches, version: '1.0.0' }
    do:
      - attempt:
          input: { from: .inside }
          try:
            - change: { set: { changed: true } }
            - no: { raise: { error: { type: 'https://acme.example/errors/no', status: 409 } } }
          catch:
            do:
              - note: { set: { got: '${ . }', status: '${ $error.status }' } }
    """
    And given the workflow input is:
    """yaml
    inside: 5
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    got: 5
    status: 409
    """

  @further-catch @T17 @perdure
  Scenario: A directive of catch without tasks hands on the try's transformed input
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: catches, version: '1.0.0' }
    do:
      - attempt:
          input: { from: .inside }
          try:
            - no: { raise: { error: { type: 'https://acme.example/errors/no', status: 409 } } }
          catch: { then: end }
      - never: { set: { a: 1 } }
    """
    And given the workflow input is:
    """yaml
    inside: 5
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    5
    """

  @T27 @B14 @E2
  Scenario: Raise adds where the error happened and nothing else
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: raises, version: '1.0.0' }
    use: { errors: { odd: { type: 'https://acme.example/errors/odd', status: 418, detail: '${ "a \(.kind) pot" }' } } }
    do:
      - outer:
          do:
            - a/b~c: { raise: { error: odd } }
    """
    And given the workflow input is:
    """yaml
    kind: tea
    """
    When the workflow is executed
    Then the workflow should fault with error:
    """yaml
    type: https://acme.example/errors/odd
    status: 418
    detail: a tea pot
    instance: /do/0/outer/do/0/a~1b~0c
    """

  @T27 @naive
  Scenario: An instance that the author gives is kept
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: raises, version: '1.0.0' }
    do:
      - no: { raise: { error: { type: 'https://acme.example/errors/no', status: 400, instance: /elsewhere } } }
    """
    When the workflow is executed
    Then the workflow should fault with error:
    """yaml
    type: https://acme.example/errors/no
    status: 400
    instance: /elsewhere
    """

  @T27 @E4
  Scenario: A timeout names the task that timed out, not the one that it interrupted
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: raises, version: '1.0.0' }
    do:
      - attempt:
          try:
            - outer: { do: [ { nap: { wait: PT9S } } ], timeout: { after: PT2S } }
          catch:
            errors: { with: { type: 'https://open-workflow-specification.org/spec/1.0.0/errors/timeout', status: 408 } }
            do:
              - note: { set: { at: '${ $error.instance }' } }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    at: /do/0/attempt/try/0/outer
    """
    And the run should have taken PT2S

  @T28 @E3
  Scenario Outline: A standard type is the same under every known base
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: types, version: '1.0.0' }
    do:
      - attempt:
          try:
            - no: { set: { a: '${ "a" - 1 }' } }
          catch:
            errors: { with: { type: '<base>expression' } }
            do:
              - note: { set: { type: '${ $error.type }' } }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    type: https://open-workflow-specification.org/spec/1.0.0/errors/expression
    """

    Examples:
      | base                                                     |
      | https://open-workflow-specification.org/spec/1.0.0/errors/  |
      | https://open-workflow-specification.org/dsl/errors/types/   |
      | https://serverlessworkflow.io/spec/1.0.0/errors/            |
      | https://serverlessworkflow.io/errors/types/                 |

  @T28 @naive @further-old-base
  Scenario: An error type that is not standard is compared as text
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: types, version: '1.0.0' }
    do:
      - attempt:
          try:
            - no: { raise: { error: { type: 'https://serverlessworkflow.io/errors/types/compliance', status: 400 } } }
          catch:
            errors: { with: { type: 'https://open-workflow-specification.org/errors/types/compliance' } }
            do: [ { note: { set: { caught: true } } } ]
    """
    When the workflow is executed
    Then the workflow should fault with error:
    """yaml
    type: https://serverlessworkflow.io/errors/types/compliance
    status: 400
    instance: /do/0/attempt/try/0/no
    """

  @further-old-base @T28 @E3 @perdure
  Scenario: A raised standard name under an old base stays as written and is still standard
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: types, version: '1.0.0' }
    do:
      - attempt:
          try:
            - no: { raise: { error: { type: 'https://serverlessworkflow.io/dsl/errors/types/runtime', status: 500 } } }
          catch:
            errors: { with: { type: 'https://open-workflow-specification.org/spec/1.0.0/errors/runtime' } }
            do: [ { note: { set: { type: '${ $error.type }' } } } ]
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    type: https://serverlessworkflow.io/dsl/errors/types/runtime
    """

  @E2 @E3
  Scenario: A function's failure gets the pointer of the calling task
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: types, version: '1.0.0' }
    do:
      - outer: { do: [ { ask: { call: flaky } } ] }
    """
    And the function 'flaky' always fails with:
    """yaml
    type: https://open-workflow-specification.org/spec/1.0.0/errors/communication
    status: 503
    title: Closed
    """
    When the workflow is executed
    Then the workflow should fault with error:
    """yaml
    type: https://open-workflow-specification.org/spec/1.0.0/errors/communication
    status: 503
    title: Closed
    instance: /do/0/outer/do/0/ask
    """

  @B14
  Scenario: An error that use does not name is refused
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: raises, version: '1.0.0' }
    use: { errors: { odd: { type: 'https://acme.example/errors/odd', status: 418 } } }
    do:
      - no:
          raise:
            error: od
    """
    When the workflow is validated
    Then the workflow should be refused at line 6
    And the finding should propose 'odd'

  @B22
  Scenario: A misspelt key in an error filter is refused instead of catching everything
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: catches, version: '1.0.0' }
    do:
      - attempt:
          try: [ { only: { set: { a: 1 } } } ]
          catch:
            errors:
              with:
                satus: 404
    """
    When the workflow is validated
    Then the workflow should be refused with code 'unknown-key' at line 8
    And the finding should propose 'status'

  @E4
  Scenario: A workflow's timeout cannot be caught
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: bounded, version: '1.0.0' }
    timeout: { after: PT3S }
    do:
      - attempt:
          try: [ { nap: { wait: PT1M } } ]
          catch: { do: [ { never: { set: { caught: true } } } ] }
    """
    When the workflow is executed
    Then the workflow should fault with the standard error 'timeout' and status 408
    And the error should have instance '/timeout'
    And never should not run

  @E4
  Scenario: A task's timeout does not catch itself
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: bounded, version: '1.0.0' }
    do:
      - attempt:
          timeout: { after: PT3S }
          try: [ { nap: { wait: PT1M } } ]
          catch: { do: [ { never: { set: { caught: true } } } ] }
    """
    When the workflow is executed
    Then the workflow should fault with the standard error 'timeout' and status 408
    And the error should have instance '/do/0/attempt'
