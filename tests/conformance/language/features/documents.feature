Feature: Documents
  What a workflow document may say at its top: rows A1 to A7.

  @A1
  Scenario: A document names itself
    Given a workflow with definition:
    """yaml
    document:
      dsl: '1.0.3'
      namespace: acme
      name: order-2-check
      version: '1.0.0-rc.1'
      title: Check an order
      summary: Looks at one order.
      tags: { team: sales }
      metadata: { owner: { name: Ada } }
    do:
      - only: { set: { name: '${ $workflow.definition.document.name }' } }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    name: order-2-check
    """

  @A1
  Scenario Outline: A name has letters, digits and inner hyphens only
    Given a workflow with definition:
    """yaml
    document:
      dsl: '1.0.3'
      namespace: acme
      name: <name>
      version: '1.0.0'
    do:
      - only: { set: { a: 1 } }
    """
    When the workflow is validated
    Then the workflow should be refused with code 'bad-text' at line 4

    Examples:
      | name       |
      | my_order   |
      | my.order   |
      | -order     |
      | order-     |

  @A1
  Scenario: A version is a semantic version
    Given a workflow with definition:
    """yaml
    document:
      dsl: '1.0.3'
      namespace: acme
      name: order
      version: '1.0'
    do:
      - only: { set: { a: 1 } }
    """
    When the workflow is validated
    Then the workflow should be refused with code 'bad-text' at line 5

  @A2
  Scenario: Workflow input and output are checked and shaped
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: shaped, version: '1.0.0' }
    input:
      schema:
        document: { type: object, required: [ order ] }
      from: { id: '${ .order.id }', kind: order }
    output:
      schema:
        document: { type: string }
      as: .label
    do:
      - label: { set: { label: '${ "\(.kind) \(.id)" }' } }
    """
    And given the workflow input is:
    """yaml
    order: { id: 7 }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    order 7
    """

  @A3
  Scenario: Use holds the eight known parts and nothing else
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: used, version: '1.0.0' }
    use:
      timeouts: { short: { after: PT1S } }
      memories: { facts: {} }
    do:
      - only: { set: { a: 1 } }
    """
    When the workflow is validated
    Then the workflow should be refused with code 'unknown-key' at line 4

  @A3 @B22 @B23
  Scenario: A retry policy and an error of use are known by their names
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: used, version: '1.0.0' }
    use:
      errors:
        sold-out: { type: 'https://acme.example/errors/sold-out', status: 409, title: Sold out }
      retries:
        twice: { delay: PT1S, limit: { attempt: { count: 2 } } }
    do:
      - buy:
          try:
            - ask: { call: stock }
            - none: { raise: { error: sold-out } }
          catch: { retry: twice, do: [ { note: { set: { title: '${ $error.title }' } } } ] }
    """
    And the function 'stock' returns:
    """yaml
    0
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    title: Sold out
    """
    And the call 'stock' should have been made 3 times

  @A4
  Scenario: A task list holds one name for each task
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: listed, version: '1.0.0' }
    do:
      - first: { set: { a: 1 } }
        second: { set: { b: 1 } }
    """
    When the workflow is validated
    Then the workflow should be refused at line 3

  @A4 @E4
  Scenario: A workflow's timeout can be a name of use
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: bounded, version: '1.0.0' }
    use: { timeouts: { short: { after: { seconds: 2 } } } }
    timeout: short
    do:
      - nap: { wait: PT10S }
    """
    When the workflow is executed
    Then the workflow should fault with the standard error 'timeout' and status 408
    And the run should have taken PT2S

  @A5
  Scenario: A schedule is one of four
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: planned, version: '1.0.0' }
    schedule:
      on:
        one: { with: { type: com.acme.order.placed.v1 } }
      read: envelope
    do:
      - only: { set: { kind: '${ .[0].type }' } }
    """
    When the workflow is validated
    Then the workflow should be accepted

  @A5
  Scenario: How to read events needs events
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: planned, version: '1.0.0' }
    schedule:
      every: PT1H
      read: data
    do:
      - only: { set: { a: 1 } }
    """
    When the workflow is validated
    Then the workflow should be refused at line 4

  @A5
  Scenario: A cron expression has to be one
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: planned, version: '1.0.0' }
    schedule:
      cron: banana
    do:
      - only: { set: { a: 1 } }
    """
    When the workflow is validated
    Then the workflow should be refused at line 3

  @A5
  Scenario: The input of an event-started run is an array of events
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: planned, version: '1.0.0' }
    schedule:
      on:
        one: { with: { type: com.acme.order.placed.v1 } }
    do:
      - only: { set: { first: '${ .[0].id }' } }
    """
    And given the workflow input is:
    """yaml
    - { id: 7 }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    first: 7
    """

  @A6
  Scenario: Only jq is spoken here
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: spoken, version: '1.0.0' }
    evaluate:
      language: javascript
    do:
      - only: { set: { a: 1 } }
    """
    When the workflow is validated
    Then the workflow should be refused at line 3

  @A6 @further-loose
  Scenario: Loose mode keeps the text when it is no expression
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: loose, version: '1.0.0' }
    evaluate: { mode: loose }
    do:
      - only:
          set:
            sum: 1 + 2
            text: Hello there, world!
            wrapped: '${ .count + 1 }'
            broken: '${ error("no") }'
    """
    And given the workflow input is:
    """yaml
    count: 4
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    sum: 3
    text: Hello there, world!
    wrapped: 5
    broken: '${ error("no") }'
    """

  @A7
  Scenario: A run that waits for an event is waiting
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: phases, version: '1.0.0' }
    do:
      - hear: { listen: { to: { one: { with: { type: com.acme.go.v1 } } } } }
    """
    When the workflow is started
    Then the workflow should be waiting
    When the run is cancelled
    Then the workflow should be cancelled
    And the history should contain 'workflow.cancelled.v1' once

  @A7
  Scenario: A run that makes a call is running
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: phases, version: '1.0.0' }
    do:
      - ask: { call: stock }
      - nap: { wait: PT5S }
    """
    And the function 'stock' answers in turn:
    """yaml
    - { output: 1, after: PT5S }
    """
    When the workflow is started
    Then the workflow should be running
    When time passes: PT5S
    Then the workflow should be waiting

  @A7 @L1
  Scenario: A suspended run starts nothing new
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: phases, version: '1.0.0' }
    do:
      - nap: { wait: PT5S }
      - ask: { call: stock }
    """
    And the function 'stock' returns:
    """yaml
    3
    """
    When the workflow is started
    And the run is suspended
    And time passes: PT10S
    Then the workflow should be suspended
    And the call 'stock' should have been made 0 times
    When the run is resumed
    Then the workflow should complete with output:
    """yaml
    3
    """
    And the history should contain 'workflow.suspended.v1' once
    And the history should contain 'workflow.resumed.v1' once

  @A7
  Scenario: A faulted run can be mended
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: phases, version: '1.0.0' }
    do:
      - first: { set: { a: 1 } }
      - ask: { call: stock, with: { sku: '${ .a }' } }
    """
    And the function 'stock' answers in turn:
    """yaml
    - { fault: { type: 'https://acme.example/errors/closed', status: 503 } }
    - { output: 9 }
    """
    When the workflow is executed
    Then the workflow should fault
    When the failed task is retried
    Then the workflow should complete with output:
    """yaml
    9
    """

  @A7
  Scenario: A faulted task can be passed over with an output
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: phases, version: '1.0.0' }
    do:
      - no: { raise: { error: { type: 'https://acme.example/errors/no', status: 400 } } }
      - last: { set: { got: '${ . }' } }
    """
    When the workflow is executed
    Then the workflow should fault
    When the failed task is skipped with output:
    """yaml
    mended
    """
    Then the workflow should complete with output:
    """yaml
    got: mended
    """
