Feature: Flow directives
  Rows B9, B21, E1; rules T16 to T18.

  @T16 @E1
  Scenario: A directive can jump back
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: jumps, version: '1.0.0' }
    do:
      - count: { set: { n: '${ .n + 1 }' } }
      - again:
          switch:
            - more: { when: .n < 3, then: count }
            - enough: { then: continue }
      - last: { set: { done: '${ .n }' } }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    done: 3
    """
    And count should run 3 times

  @T16 @naive
  Scenario Outline: A jump stays inside its own list
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: jumps, version: '1.0.0' }
    do:
      - outer:
          do:
            - inner:
                set: { a: 1 }
                then: <target>
      - beside: { set: { b: 1 } }
    """
    When the workflow is validated
    Then the workflow should be refused with code 'unknown-target' at line 7

    Examples:
      | target  |
      | beside  |
      | outer   |
      | nowhere |

  @T16 @naive
  Scenario: Two tasks of one list cannot share a name
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: jumps, version: '1.0.0' }
    do:
      - same: { set: { a: 1 } }
      - same: { set: { b: 1 } }
    """
    When the workflow is validated
    Then the workflow should be refused with code 'duplicate-name' at line 4

  @T16 @naive
  Scenario Outline: A task cannot be called like a directive
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: jumps, version: '1.0.0' }
    do:
      - <name>: { set: { a: 1 } }
    """
    When the workflow is validated
    Then the workflow should be refused with code 'reserved-name' at line 3

    Examples:
      | name     |
      | continue |
      | exit     |
      | end      |

  @T16 @B21 @naive
  Scenario: A switch has one default at most
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: jumps, version: '1.0.0' }
    do:
      - choose:
          switch:
            - one: { then: end }
            - two: { then: continue }
    """
    When the workflow is validated
    Then the workflow should be refused with code 'two-defaults' at line 6

  @T16
  Scenario: A task that nothing reaches is worth a remark
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: jumps, version: '1.0.0' }
    do:
      - first: { set: { a: 1 }, then: last }
      - never: { set: { b: 1 } }
      - last: { set: { c: 1 } }
    """
    When the workflow is validated
    Then the workflow should be accepted with a remark at line 4

  @T17 @B21
  Scenario: The first case that matches wins, in declared order
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: chooses, version: '1.0.0' }
    do:
      - choose:
          switch:
            - other: { then: small }
            - big: { when: .n > 10, then: large }
            - bigger: { when: .n > 5, then: middle }
      - small: { set: { size: small }, then: end }
      - middle: { set: { size: middle }, then: end }
      - large: { set: { size: large }, then: end }
    """
    And given the workflow input is:
    """yaml
    n: 20
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    size: large
    """

  @T17 @naive
  Scenario: The task's own directive counts only when no case matched
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: chooses, version: '1.0.0' }
    do:
      - choose:
          switch:
            - big: { when: .n > 10, then: continue }
          then: end
      - large: { set: { size: large } }
    """
    And given the workflow input is:
    """yaml
    n: 20
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    size: large
    """

  @T17 @B22
  Scenario: The directive of a catch wins over the directive of its try
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: chooses, version: '1.0.0' }
    do:
      - attempt:
          try:
            - no: { raise: { error: { type: 'https://acme.example/errors/no', status: 400 } } }
          catch: { then: caught }
          then: missed
      - missed: { set: { at: missed }, then: end }
      - caught: { set: { at: caught } }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    at: caught
    """

  @T18 @E1
  Scenario: End unwinds through the output and the export of each parent
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: ends, version: '1.0.0' }
    output: { as: '{ got: ., context: $context }' }
    do:
      - outer:
          do:
            - inner: { set: { n: 1 }, then: end }
            - never: { set: { n: 100 } }
          output: { as: .n + 1 }
          export: { as: '{ outer: . }' }
      - also-never: { set: { n: 1000 } }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    got: 2
    context: { outer: 2 }
    """
    And also-never should not run

  @T18 @E1
  Scenario: Exit leaves the current list only
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: exits, version: '1.0.0' }
    do:
      - outer:
          do:
            - inner: { set: { n: 1 }, then: exit }
            - never: { set: { n: 100 } }
      - last: { set: { n: '${ .n + 1 }' } }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    n: 2
    """

  @T18 @naive
  Scenario: Exit in a loop leaves this iteration, not the loop
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: exits, version: '1.0.0' }
    do:
      - loop:
          for: { in: '[ 1, 2, 3 ]' }
          do:
            - add: { set: { sum: '${ .sum + $item }' } }
            - skip: { switch: [ { second: { when: $item == 2, then: exit } } ] }
            - mark: { set: { sum: '${ .sum + 10 }' } }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    sum: 26
    """
    And add should run 3 times
    And mark should run 2 times

  @T18 @E1
  Scenario: Exit at the top is the end
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: exits, version: '1.0.0' }
    do:
      - first: { set: { n: 1 }, then: exit }
      - never: { set: { n: 100 } }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    n: 1
    """

  @B9
  Scenario: A sequence inside a sequence hands its last output on
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: nested, version: '1.0.0' }
    do:
      - outer:
          input: { from: .start }
          do:
            - one: { set: { n: '${ . + 1 }' } }
            - two: { do: [ { three: { set: { n: '${ .n * 10 }' } } } ] }
          output: { as: .n }
    """
    And given the workflow input is:
    """yaml
    start: 4
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    50
    """
    And three should run after one

  @B21
  Scenario: Without a matching case the flow goes on
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: chooses, version: '1.0.0' }
    do:
      - choose: { switch: [ { big: { when: .n > 10, then: end } } ] }
      - last: { set: { n: '${ .n }', reached: true } }
    """
    And given the workflow input is:
    """yaml
    n: 1
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    n: 1
    reached: true
    """
