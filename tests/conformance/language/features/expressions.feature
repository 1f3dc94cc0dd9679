Feature: Expressions and texts
  Row E11; rules T30 to T33.

  @T30
  Scenario: Expression fields take jq bare or wrapped
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: spells, version: '1.0.0' }
    do:
      - bare: { if: .n == 1, set: { n: '${ .n + 1 }' }, output: { as: .n } }
      - wrapped: { if: '${ . == 2 }', set: '${ { n: (. + 1) } }', output: { as: '${ .n }' }, export: { as: '${ { n: . } }' } }
    """
    And given the workflow input is:
    """yaml
    n: 1
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    3
    """

  @T30 @naive
  Scenario: In a template, text without its wrapping stays text
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: spells, version: '1.0.0' }
    do:
      - only: { set: { bare: .n, wrapped: '${ .n }', braces: '${ "}" + ({ a: "${" } | .a) }', list: [ '${ .n }', { deep: '${ .n }' } ] } }
    """
    And given the workflow input is:
    """yaml
    n: 1
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    bare: .n
    wrapped: 1
    braces: '}${'
    list: [ 1, { deep: 1 } ]
    """

  @T30 @naive @perdure
  Scenario Outline: Text around an expression is refused with a hint
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: spells, version: '1.0.0' }
    do:
      - only:
          set:
            text: <text>
    """
    When the workflow is validated
    Then the workflow should be refused at line 5
    And the finding should propose '\('

    Examples:
      | text                        |
      | 'Hello ${ .name }'          |
      | '${ .a } and ${ .b }'       |

  @T30
  Scenario: An expression that cannot be parsed is refused at its place
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: spells, version: '1.0.0' }
    do:
      - only:
          set:
            text: '${ .a | }'
    """
    When the workflow is validated
    Then the workflow should be refused at line 5

  @T30 @E11
  Scenario Outline: What an expression may not reach is refused
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: spells, version: '1.0.0' }
    do:
      - only:
          set:
            leak: '${ <expression> }'
    """
    When the workflow is validated
    Then the workflow should be refused at line 5

    Examples:
      | expression     |
      | env            |
      | $ENV.HOME      |
      | now            |
      | input          |
      | halt           |
      | $nobody        |

  @E11 @T30
  Scenario: Text that looks like an expression is never evaluated when it comes as data
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: injected, version: '1.0.0' }
    do:
      - ask: { call: echo, with: { said: '${ .said }' } }
      - keep: { set: { said: '${ .said }', all: '${ . }' } }
      - again: { set: '${ . }' }
    """
    And the function 'echo' gives back its arguments
    And given the workflow input is:
    """yaml
    said: '${ 1 + 1 }'
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    said: '${ 1 + 1 }'
    all: { said: '${ 1 + 1 }' }
    """

  @E11
  Scenario: Data that looks like a secret handle is only data
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: injected, version: '1.0.0' }
    use: { secrets: [ pay ] }
    do:
      - ask: { call: echo, with: { said: '${ .said }' } }
    """
    And the secret 'pay' is:
    """yaml
    hush-hush
    """
    And the function 'echo' gives back its arguments
    And given the workflow input is:
    """yaml
    said: { $perdure.secret: [ pay ] }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    said: { $perdure.secret: [ pay ] }
    """

  @T31
  Scenario: A dollar name without its wrapping is a text
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: examples, version: '1.0.0' }
    do:
      - attempt:
          try: [ { no: { raise: { error: { type: 'https://acme.example/errors/no', status: 409 } } } } ]
          catch: { do: [ { note: { set: { error: $error } } } ] }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    error: $error
    """

  @T31 @naive
  Scenario: A task's arguments are in its definition and nowhere else
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: examples, version: '1.0.0' }
    do:
      - ask:
          call: echo
          with: { who: Ada }
          output: { as: '{ with: $task.with, definition: $task.definition.with.who }' }
    """
    And the function 'echo' gives back its arguments
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    with: null
    definition: Ada
    """

  @T31 @naive
  Scenario: Reading data gives the data itself, without an envelope
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: examples, version: '1.0.0' }
    do:
      - hear:
          listen: { to: { one: { with: { type: com.acme.went.v1 } } }, read: data }
          output: { as: 'map({ n, envelope: .data })' }
    """
    When the workflow is started
    And an event arrives:
    """yaml
    type: com.acme.went.v1
    data: { n: 1 }
    """
    Then the workflow should complete with output:
    """yaml
    - { n: 1, envelope: null }
    """

  @T32 @perdure
  Scenario Outline: A condition that is no boolean is an expression error
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: conditions, version: '1.0.0' }
    do:
      - <task>
    """
    When the workflow is executed
    Then the workflow should fault with the standard error 'expression' and status 400

    Examples:
      | task                                                                       |
      | only: { if: .missing, set: { a: 1 } }                                      |
      | only: { switch: [ { one: { when: '"text"', then: end } } ] }               |
      | only: { for: { in: '[ 1 ]' }, while: '1', do: [ { a: { set: { a: 1 } } } ] } |

  @T32 @naive @perdure
  Scenario: No output is null, and of several outputs the first counts
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: outputs, version: '1.0.0' }
    do:
      - only: { set: { none: '${ empty }', first: '${ .all[] }' } }
    """
    And given the workflow input is:
    """yaml
    all: [ 1, 2, 3 ]
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    none: null
    first: 1
    """

  @T32 @perdure
  Scenario: An expression that never ends is an expression error
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: runaway, version: '1.0.0' }
    do:
      - only: { set: { n: '${ last(range(1000000000)) }' } }
    """
    When the workflow is executed
    Then the workflow should fault with the standard error 'expression' and status 400

  @T33 @perdure
  Scenario: Words, times and dates stay what they look like
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: reads, version: '1.0.0' }
    do:
      - only:
          set:
            on: yes
            time: 12:30:00
            date: 2026-01-02
            octal: 010
            none: ~
            truth: true
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    'on': 'yes'
    time: '12:30:00'
    date: '2026-01-02'
    octal: 10
    none: null
    truth: true
    """

  @T33 @naive @perdure
  Scenario: A case can be called yes and a schedule has its key on
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: reads, version: '1.0.0' }
    schedule:
      on: { one: { with: { type: com.acme.went.v1 } } }
    do:
      - choose: { switch: [ { yes: { when: .ok, then: yes } }, { no: { then: end } } ] }
      - yes: { set: { took: yes } }
    """
    And given the workflow input is:
    """yaml
    ok: true
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    took: 'yes'
    """

  @T33 @naive @perdure
  Scenario: A key that stands twice is refused
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: reads, version: '1.0.0' }
    do:
      - only:
          set:
            a: 1
            a: 2
    """
    When the workflow is validated
    Then the workflow should be refused at line 6

  @T33 @naive @perdure
  Scenario Outline: Tags, other keys than text and growing anchors are refused
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: reads, version: '1.0.0' }
    do:
      - only:
          set:
            a: <value>
    """
    When the workflow is validated
    Then the workflow should be refused

    Examples:
      | value                                                                                    |
      | !!python/object:os.system ls                                                             |
      | { 1: one }                                                                               |
      | { [ 1 ]: one }                                                                           |
