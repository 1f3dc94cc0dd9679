Feature: Functions, workflows, waiting and values
  Rows B8, B15, B18, B19, B20, B24, E8 and E9; rule T9.

  @B8
  Scenario: A function of use gets the evaluated with as its raw input
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: calls, version: '1.0.0' }
    use:
      functions:
        greet: { set: { text: '${ "Hello \(.who)" }', input: '${ $task.input }' } }
    do:
      - say: { call: greet, with: { who: '${ .name }' } }
    """
    And given the workflow input is:
    """yaml
    name: Ada
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    text: Hello Ada
    input: { who: Ada }
    """

  @B8 @E8
  Scenario: A function of the default catalog is called with its version
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: calls, version: '1.0.0' }
    do:
      - ask: { call: 'stock:1@default', with: { sku: 7 } }
    """
    And the function 'stock' returns:
    """yaml
    4
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    4
    """

  @B8
  Scenario: A function that nobody knows is refused, with the nearest name
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: calls, version: '1.0.0' }
    do:
      - ask:
          call: stok
    """
    And the function 'stock' returns:
    """yaml
    4
    """
    When the workflow is validated
    Then the workflow should be refused at line 4
    And the finding should propose 'stock'

  @B8 @further-instance
  Scenario: A failure inside a function carries the pointer of the call
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: calls, version: '1.0.0' }
    use:
      functions:
        break: { set: { n: '${ "a" - 1 }' } }
    do:
      - say: { call: break }
    """
    When the workflow is executed
    Then the workflow should fault with the standard error 'expression' and status 400
    And the error should have instance '/do/0/say'

  @E8
  Scenario: A catalog's function is read from its place
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: calls, version: '1.0.0' }
    use:
      catalogs:
        ours: { endpoint: { uri: 'https://catalog.example/main' } }
    do:
      - say: { call: 'greet:1.0.0@ours', with: { who: Ada } }
    """
    And the host 'https://catalog.example' answers:
    """yaml
    - { on: GET /main/functions/greet/1.0.0/function.yaml, status: 200, text: 'set: { text: "${ .who }" }' }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    text: Ada
    """

  @E8
  Scenario: The name default is reserved for the built-in catalog
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: calls, version: '1.0.0' }
    use:
      catalogs:
        default: { endpoint: { uri: 'https://catalog.example/main' } }
    do:
      - only: { set: { a: 1 } }
    """
    When the workflow is validated
    Then the workflow should be refused at line 4

  @B18 @B15
  Scenario: A workflow runs another and gets its output
    Given a published workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: child, version: '1.2.0' }
    input: { from: .n }
    do:
      - double: { set: { n: '${ . * 2 }' } }
    """
    And a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: parent, version: '1.0.0' }
    do:
      - one: { run: { workflow: { namespace: acme, name: child, version: '1.2.0', input: { n: '${ .n }' } } } }
      - two: { run: { workflow: { namespace: acme, name: child, version: latest, input: { n: '${ .n }' } } } }
    """
    And given the workflow input is:
    """yaml
    n: 3
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    n: 12
    """

  @B18
  Scenario: The fault of a child is the fault of the task that ran it
    Given a published workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: child, version: '1.0.0' }
    do:
      - no: { raise: { error: { type: 'https://acme.example/errors/no', status: 409 } } }
    """
    And a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: parent, version: '1.0.0' }
    do:
      - attempt:
          try: [ { one: { run: { workflow: { namespace: acme, name: child, version: '1.0.0' } } } } ]
          catch: { errors: { with: { status: 409 } }, do: [ { note: { set: { type: '${ $error.type }' } } } ] }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    type: https://acme.example/errors/no
    """

  @T9 @B15 @B21 @B19
  Scenario: Switch, wait and a run that is not awaited give the transformed input
    Given a published workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: child, version: '1.0.0' }
    do:
      - nap: { wait: PT1H }
      - give: { set: { child: true } }
    """
    And a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: parent, version: '1.0.0' }
    do:
      - choose: { input: { from: .a }, switch: [ { any: { then: continue } } ] }
      - nap: { input: { from: .b }, wait: PT1S }
      - one: { input: { from: .c }, run: { workflow: { namespace: acme, name: child, version: '1.0.0' }, await: false } }
    """
    And given the workflow input is:
    """yaml
    a: { b: { c: 5 } }
    """
    When the workflow is started
    And time passes: PT1S
    Then the workflow should complete with output:
    """yaml
    5
    """

  @T9 @B15 @naive
  Scenario: A run that returns none gives null, not its input
    Given a published workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: child, version: '1.0.0' }
    do:
      - give: { set: { child: true } }
    """
    And a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: parent, version: '1.0.0' }
    do:
      - one: { run: { workflow: { namespace: acme, name: child, version: '1.0.0' }, return: none } }
      - last: { set: { got: '${ . }' } }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    got: null
    """

  @B15
  Scenario: A task runs one of four
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: runs, version: '1.0.0' }
    do:
      - both:
          run:
            workflow: { namespace: acme, name: child, version: '1.0.0' }
            shell: { command: ls }
    """
    When the workflow is validated
    Then the workflow should be refused

  @B19 @B24
  Scenario Outline: A wait takes as long as it says
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: naps, version: '1.0.0' }
    do:
      - nap: { wait: <wait> }
    """
    And given the workflow input is:
    """yaml
    pause: PT90S
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    pause: PT90S
    """
    And the run should have taken <taken>

    Examples:
      | wait                                                                     | taken       |
      | { days: 1, hours: 1, minutes: 1, seconds: 1, milliseconds: 500 }         | P1DT1H1M1.5S |
      | PT1M30S                                                                  | PT90S       |
      | '${ .pause }'                                                            | PT90S       |

  @B19
  Scenario: A wait survives a killed process and is not early
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: naps, version: '1.0.0' }
    do:
      - nap: { wait: PT10S }
    """
    When the workflow is started
    And time passes: PT4S
    And the process is killed and started
    And time passes: PT5S
    Then the workflow should be waiting
    When time passes: PT1S
    Then the workflow should complete

  @B24
  Scenario Outline: A duration that is none is refused
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: naps, version: '1.0.0' }
    do:
      - nap:
          wait: <wait>
    """
    When the workflow is validated
    Then the workflow should be refused at line 4

    Examples:
      | wait               |
      | { seconds: -1 }    |
      | { seconds: 1.5 }   |
      | { second: 1 }      |
      | tomorrow           |

  @B20
  Scenario: Set can be one expression
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: sets, version: '1.0.0' }
    do:
      - only: { set: '${ [ .n, .n + 1 ] }' }
    """
    And given the workflow input is:
    """yaml
    n: 3
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    [ 3, 4 ]
    """

  @B20
  Scenario: An empty set is refused
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: sets, version: '1.0.0' }
    do:
      - only:
          set: {}
    """
    When the workflow is validated
    Then the workflow should be refused at line 4

  @E9 @further-extensions @perdure
  Scenario: Before gets the raw input, after the transformed output, and their own outputs are dropped
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: extends, version: '1.0.0' }
    use:
      extensions:
        - watch:
            extend: set
            when: $task.name == "only"
            before: [ { note-before: { call: note, with: { at: before, got: '${ . }', task: '${ $task.name }' } } } ]
            after: [ { note-after: { call: note, with: { at: after, got: '${ . }', task: '${ $task.name }' } } } ]
    do:
      - first: { set: { n: 1 } }
      - only: { input: { from: .n }, set: { n: '${ . + 1 }' }, output: { as: .n } }
    """
    And the function 'note' returns:
    """yaml
    dropped
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    2
    """
    And the calls of 'note' should have been made with:
    """yaml
    - { at: before, got: { n: 1 }, task: only }
    - { at: after, got: 2, task: only }
    """

  @E9 @T31
  Scenario: Exit in before replaces the task by that output
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: extends, version: '1.0.0' }
    use:
      extensions:
        - mock:
            extend: call
            when: $task.definition.with.endpoint | startswith("https://mocked.example")
            before: [ { answer: { set: { mocked: true }, then: exit } } ]
    do:
      - ask: { call: http, with: { method: get, endpoint: 'https://mocked.example/orders' } }
      - really: { call: http, with: { method: get, endpoint: 'https://shop.example/orders' }, output: { as: '{ really: ., before: $task.input }' } }
    """
    And the host 'https://shop.example' answers:
    """yaml
    - { on: GET /orders, status: 200, body: [] }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    really: []
    before: { mocked: true }
    """

  @E9 @further-extensions @perdure
  Scenario: Several extensions: before in declared order, after in reverse
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: extends, version: '1.0.0' }
    use:
      extensions:
        - outer: { extend: wait, before: [ { a: { call: note, with: { at: outer-before } } } ], after: [ { b: { call: note, with: { at: outer-after } } } ] }
        - inner: { extend: all, before: [ { c: { call: note, with: { at: inner-before } } } ], after: [ { d: { call: note, with: { at: inner-after } } } ] }
    do:
      - nap: { wait: PT1S }
    """
    And the function 'note' returns:
    """yaml
    1
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    {}
    """
    And the calls of 'note' should have been made with:
    """yaml
    - { at: outer-before }
    - { at: inner-before }
    - { at: inner-after }
    - { at: outer-after }
    """

  @E9
  Scenario: A sequence is extended under the name composite
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: extends, version: '1.0.0' }
    use:
      extensions:
        - watch:
            extend: do
            before: [ { a: { set: { a: 1 } } } ]
    do:
      - only: { set: { a: 1 } }
    """
    When the workflow is validated
    Then the workflow should be refused at line 5
    And the finding should propose 'composite'

  @E9 @perdure
  Scenario: What comes after a task sees its raw output in the descriptor and its transformed output as input
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: extends, version: '1.0.0' }
    use:
      extensions:
        - watch:
            extend: set
            after: [ { tell: { call: note, with: { raw: '${ $task.output }', transformed: '${ . }' } } } ]
    do:
      - only: { set: { a: 1 }, output: { as: '{ b: .a }' } }
    """
    And the function 'note' returns:
    """yaml
    {}
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    b: 1
    """
    And the calls of 'note' should have been made with:
    """yaml
    - { raw: { a: 1 }, transformed: { b: 1 } }
    """

  @E9 @T18 @perdure @naive
  Scenario: An extension that ends the run gives it no output of its own
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: extends, version: '1.0.0' }
    use:
      extensions:
        - stop:
            extend: set
            after: [ { last: { wait: PT1S, output: { as: '{ own: true }' }, then: end } } ]
    do:
      - only: { set: { a: 1 } }
      - never: { set: { b: 1 } }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    a: 1
    """
