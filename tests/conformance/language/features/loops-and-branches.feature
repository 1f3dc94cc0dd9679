Feature: Loops and branches
  Rows B11 and B12; rules T10 to T12, T19, T20.

  @T12 @B11
  Scenario: Each iteration gets the output of the one before it
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: loops, version: '1.0.0' }
    do:
      - loop:
          input: { from: '{ numbers: .numbers, sum: 0 }' }
          for: { each: number, at: place, in: .numbers }
          do:
            - add: { set: { sum: '${ .sum + $number * ($place + 1) }' } }
    """
    And given the workflow input is:
    """yaml
    numbers: [ 5, 6, 7 ]
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    sum: 38
    """

  @T12 @naive
  Scenario: The result of a loop is the last output, not a list of outputs
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: loops, version: '1.0.0' }
    do:
      - loop:
          for: { in: '[ 1, 2 ]' }
          do:
            - ask: { call: double, with: { n: '${ $item }' } }
    """
    And the function 'double' answers in turn:
    """yaml
    - { output: 2 }
    - { output: 4 }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    4
    """

  @T12
  Scenario: A loop over nothing gives its input
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: loops, version: '1.0.0' }
    do:
      - loop:
          input: { from: .inside }
          for: { in: '[]' }
          do:
            - never: { set: { a: 1 } }
    """
    And given the workflow input is:
    """yaml
    inside: 3
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    3
    """

  @T12
  Scenario: A loop over something else than an array is an expression error
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: loops, version: '1.0.0' }
    do:
      - loop:
          for: { in: .numbers }
          do:
            - never: { set: { a: 1 } }
    """
    When the workflow is executed
    Then the workflow should fault with the standard error 'expression' and status 400
    And the error should have instance '/do/0/loop'

  @T12 @B11
  Scenario: While is tested before each iteration and knows item and index
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: loops, version: '1.0.0' }
    do:
      - loop:
          for: { in: '[ 10, 20, 30, 40 ]' }
          while: $item < 30 and $index < 3
          do:
            - add: { set: { sum: '${ .sum + $item }' } }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    sum: 30
    """

  @T12 @naive
  Scenario: The collection is read once, from the loop's own input
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: loops, version: '1.0.0' }
    do:
      - loop:
          for: { in: .numbers }
          do:
            - grow: { set: { numbers: '${ .numbers + [ 9 ] }' } }
    """
    And given the workflow input is:
    """yaml
    numbers: [ 1, 2 ]
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    numbers: [ 1, 2, 9, 9 ]
    """

  @T12 @naive
  Scenario: The loop's variables do not reach its own output
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: loops, version: '1.0.0' }
    do:
      - loop:
          for: { in: '[ 1 ]' }
          do:
            - only: { set: { a: 1 } }
          output:
            as: $item
    """
    When the workflow is validated
    Then the workflow should be refused at line 8

  @T12
  Scenario: In loops inside loops the innermost name wins
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: loops, version: '1.0.0' }
    do:
      - outer:
          for: { in: '[ 1, 2 ]' }
          do:
            - inner:
                for: { in: '[ 10 ]', at: place }
                do:
                  - add: { set: { seen: '${ .seen + [ [ $item, $index, $place ] ] }' } }
            - after: { set: { seen: '${ .seen + [ $item ] }' } }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    seen: [ [ 10, 0, 0 ], 1, [ 10, 1, 0 ], 2 ]
    """

  @B11
  Scenario: A loop can go over objects written into the document
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: loops, version: '1.0.0' }
    do:
      - loop:
          for:
            each: colour
            in: [ { name: red, code: 1 }, { name: blue, code: 2 } ]
          do:
            - add: { set: { all: '${ .all + [ $colour.name ] }' } }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    all: [ red, blue ]
    """

  @T10 @B12
  Scenario: Every branch gets the fork's transformed input and the output keeps the declared order
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: forks, version: '1.0.0' }
    do:
      - both:
          input: { from: .n }
          fork:
            branches:
              - slow: { do: [ { nap: { wait: PT2S } }, { give: { set: { slow: '${ . }' } } } ] }
              - fast: { set: { fast: '${ . + 1 }' } }
    """
    And given the workflow input is:
    """yaml
    n: 1
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    - { slow: 1 }
    - { fast: 2 }
    """

  @T10 @naive
  Scenario: A race gives the winner's output bare
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: forks, version: '1.0.0' }
    do:
      - race:
          fork:
            compete: true
            branches:
              - slow: { call: slow }
              - fast: { call: fast }
    """
    And the function 'slow' answers in turn:
    """yaml
    - { output: slow, after: PT5S }
    """
    And the function 'fast' answers in turn:
    """yaml
    - { output: fast, after: PT1S }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    fast
    """

  @T11 @perdure
  Scenario: What branches export meets at the join, in declared order
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: joins, version: '1.0.0' }
    do:
      - first: { set: { x: 0 }, export: { as: '{ kept: 1, both: 0, gone: true }' } }
      - both:
          fork:
            branches:
              - late:
                  do:
                    - nap: { wait: PT1S }
                    - give: { set: { x: 1 }, export: { as: '$context + { late: 1, both: "late" }' } }
              - early: { set: { x: 2 }, export: { as: '($context + { early: 1, both: "early" }) | del(.gone)' } }
      - last: { set: '${ $context }' }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    kept: 1
    both: early
    late: 1
    early: 1
    """

  @T11 @naive @perdure
  Scenario: A branch does not see what its sibling exports
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: joins, version: '1.0.0' }
    do:
      - both:
          fork:
            branches:
              - early: { set: { x: 2 }, export: { as: '{ early: 1 }' } }
              - late:
                  do:
                    - nap: { wait: PT1S }
                    - look: { set: { seen: '${ $context }' } }
          output: { as: '.[1]' }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    seen: {}
    """

  @T11 @naive @perdure
  Scenario: Of a race only the winner's export counts
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: joins, version: '1.0.0' }
    do:
      - race:
          fork:
            compete: true
            branches:
              - loser:
                  do:
                    - early: { set: { x: 1 }, export: { as: '{ loser: true }' } }
                    - nap: { wait: PT9S }
              - winner:
                  do:
                    - nap: { wait: PT1S }
                    - give: { set: { x: 2 }, export: { as: '$context + { winner: true }' } }
      - last: { set: '${ $context }' }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    winner: true
    """

  @T11 @further-join @perdure
  Scenario: A context that is no object is replaced as a whole at the join
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: joins, version: '1.0.0' }
    do:
      - first: { set: { x: 0 }, export: { as: '{ a: 1 }' } }
      - both:
          fork:
            branches:
              - one: { set: { x: 1 }, export: { as: '[ 1 ]' } }
              - two: { set: { x: 2 } }
      - last: { set: { context: '${ $context }' } }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    context: [ 1 ]
    """

  @T19 @perdure
  Scenario: Continue and exit finish the branch
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: branches, version: '1.0.0' }
    do:
      - both:
          fork:
            branches:
              - one: { set: { x: 1 }, then: exit }
              - two: { set: { x: 2 }, then: continue }
      - last: { set: { got: '${ [ .[].x ] }' } }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    got: [ 1, 2 ]
    """

  @T19 @naive @perdure
  Scenario: A branch cannot jump to its sibling
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: branches, version: '1.0.0' }
    do:
      - both:
          fork:
            branches:
              - one: { set: { x: 1 }, then: two }
              - two: { set: { x: 2 } }
    """
    When the workflow is validated
    Then the workflow should be refused with code 'unknown-target' at line 6

  @T19 @further-end-in-fork @perdure
  Scenario: End in a branch ends the run, cancels the siblings and goes up bare
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: branches, version: '1.0.0' }
    do:
      - both:
          fork:
            branches:
              - slow: { do: [ { nap: { wait: PT9S } } ] }
              - quick: { set: { x: 2 }, then: end }
          output: { as: '{ through: . }' }
      - never: { set: { y: 1 } }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    through: { x: 2 }
    """
    And the history should contain 'task.cancelled.v1' for 'nap' once
    And never should not run
    And the run should have taken PT0S

  @further-branch-names @perdure
  Scenario: Two branches of one fork cannot share a name
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: branches, version: '1.0.0' }
    do:
      - both:
          fork:
            branches:
              - one: { set: { x: 1 } }
              - one: { set: { x: 2 } }
    """
    When the workflow is validated
    Then the workflow should be refused with code 'duplicate-name' at line 7

  @T20 @B12
  Scenario: The losers of a race are cancelled with all that they wait for
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: races, version: '1.0.0' }
    do:
      - race:
          fork:
            compete: true
            branches:
              - hears: { listen: { to: { one: { with: { type: com.acme.never.v1 } } } } }
              - naps: { do: [ { nap: { wait: PT9S } }, { after: { call: never } } ] }
              - wins: { do: [ { short: { wait: PT1S } }, { give: { set: { won: true } } } ] }
      - last: { wait: PT20S }
    """
    And the function 'never' returns:
    """yaml
    1
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    won: true
    """
    And the history should contain 'task.cancelled.v1' for 'hears' once
    And the history should contain 'task.cancelled.v1' for 'naps' once
    And the call 'never' should have been made 0 times

  @T20 @naive
  Scenario: A fault that comes first faults the race
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: races, version: '1.0.0' }
    do:
      - race:
          fork:
            compete: true
            branches:
              - slow: { do: [ { nap: { wait: PT9S } } ] }
              - fails: { raise: { error: { type: 'https://acme.example/errors/no', status: 400 } } }
    """
    When the workflow is executed
    Then the workflow should fault with error:
    """yaml
    type: https://acme.example/errors/no
    status: 400
    instance: /do/0/race/fork/branches/1/fails
    """

  @T20 @perdure
  Scenario: A race can ask for the first success instead
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: races, version: '1.0.0' }
    do:
      - race:
          metadata: { compete: any }
          fork:
            compete: true
            branches:
              - slow: { do: [ { nap: { wait: PT9S } }, { give: { set: { won: slow } } } ] }
              - fails: { raise: { error: { type: 'https://acme.example/errors/no', status: 400 } } }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    won: slow
    """

  @B12
  Scenario: A fault in one branch faults the fork and cancels the others
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: forks, version: '1.0.0' }
    do:
      - attempt:
          try:
            - both:
                fork:
                  branches:
                    - slow: { wait: PT9S }
                    - fails: { raise: { error: { type: 'https://acme.example/errors/no', status: 400 } } }
          catch: { do: [ { note: { set: { at: '${ $error.instance }' } } } ] }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    at: /do/0/attempt/try/0/both/fork/branches/1/fails
    """
    And the history should contain 'task.cancelled.v1' for 'slow' once
    And the run should have taken PT0S

  @T11 @perdure @naive
  Scenario: A boolean in place of a number is a change that the join applies
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: forks, version: '1.0.0' }
    do:
      - first: { set: { a: 1 }, export: { as: '{ ready: 0 }' } }
      - both:
          fork:
            branches:
              - changes: { set: { a: 2 }, export: { as: '{ ready: false }' } }
              - looks: { set: { a: 3 } }
      - last: { set: { ready: '${ $context.ready | tojson }' } }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    ready: 'false'
    """
