Feature: Sagas and approvals
  Section 5 of the language: compensation and the portable form of an approval.

  @saga @perdure
  Scenario: A fault that leaves the frame undoes what was done, last first
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: sagas, version: '1.0.0' }
    do:
      - attempt:
          try:
            - order:
                metadata: { saga: true }
                do:
                  - charge: { call: book, with: { what: money }, metadata: { compensate: { call: undo, with: { id: '${ .id }', was: '${ $input }' } } } }
                  - ship: { call: book, with: { what: parcel }, metadata: { compensate: { call: undo, with: { id: '${ .id }' } } } }
                  - no: { raise: { error: { type: 'https://acme.example/errors/no', status: 409 } } }
          catch: { do: [ { note: { set: { status: '${ $error.status }' } } } ] }
    """
    And given the workflow input is:
    """yaml
    n: 1
    """
    And the function 'book' answers in turn:
    """yaml
    - { output: { id: 1 } }
    - { output: { id: 2 } }
    """
    And the function 'undo' returns:
    """yaml
    undone: true
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    status: 409
    """
    And the calls of 'undo' should have been made with:
    """yaml
    - { id: 2 }
    - { id: 1, was: { n: 1 } }
    """

  @saga @perdure
  Scenario: A frame that succeeds undoes nothing by itself, but its stack moves to the frame around it
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: sagas, version: '1.0.0' }
    do:
      - inner: { metadata: { saga: true }, do: [ { charge: { call: book, metadata: { compensate: { call: undo, with: { id: '${ .id }' } } } } } ] }
      - no: { raise: { error: { type: 'https://acme.example/errors/no', status: 409 } } }
    """
    And the function 'book' returns:
    """yaml
    id: 1
    """
    And the function 'undo' returns:
    """yaml
    undone: true
    """
    When the workflow is executed
    Then the workflow should fault with error:
    """yaml
    type: https://acme.example/errors/no
    status: 409
    instance: /do/1/no
    """
    And the calls of 'undo' should have been made with:
    """yaml
    - { id: 1 }
    """

  @saga @further-saga @perdure
  Scenario: A handler that finally fails ends the run with the first error and names the handler
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: sagas, version: '1.0.0' }
    do:
      - charge: { call: book, metadata: { compensate: { call: undo, with: { id: '${ .id }' } } } }
      - no: { raise: { error: { type: 'https://acme.example/errors/no', status: 409 } } }
    """
    And the function 'book' returns:
    """yaml
    id: 1
    """
    And the function 'undo' always fails with:
    """yaml
    type: https://acme.example/errors/undo
    status: 500
    """
    When the workflow is executed
    Then the workflow should fault
    And the error should have status 409
    And the error's detail should name 'charge'

  @saga @perdure
  Scenario Outline: Cancelling undoes only when asked
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: sagas, version: '1.0.0' }
    do:
      - charge: { call: book, metadata: { compensate: { call: undo } } }
      - nap: { wait: PT1H }
    """
    And the function 'book' returns:
    """yaml
    id: 1
    """
    And the function 'undo' returns:
    """yaml
    1
    """
    When the workflow is started
    And <order>
    Then the workflow should be cancelled
    And the call 'undo' should have been made <times> times

    Examples:
      | order                                  | times |
      | the run is cancelled                   | 0     |
      | the run is cancelled with compensation | 1     |

  @saga @perdure
  Scenario: A retried operation that got a task undone is retried with its compensation forgotten
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: sagas, version: '1.0.0' }
    do:
      - attempt:
          try:
            - order:
                metadata: { saga: true }
                do:
                  - charge: { call: book, metadata: { compensate: { call: undo, with: { id: '${ .id }' } } } }
                  - ship: { call: ship }
          catch: { retry: { limit: { attempt: { count: 1 } } } }
    """
    And the function 'book' answers in turn:
    """yaml
    - { output: { id: 1 } }
    - { output: { id: 2 } }
    """
    And the function 'undo' returns:
    """yaml
    1
    """
    And the function 'ship' answers in turn:
    """yaml
    - { fault: { type: 'https://acme.example/errors/no', status: 503 } }
    - { output: shipped }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    shipped
    """
    And the calls of 'undo' should have been made with:
    """yaml
    - { id: 1 }
    """

  @saga @perdure @B10 @B13 @E10
  Scenario: An approval is an emit and a listen that fit each other
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: approves, version: '1.0.0' }
    do:
      - decide:
          do:
            - request: { emit: { event: { with: { id: ask-7, type: dev.perdure.approval.requested.v1, data: '${ . }' } } } }
            - answer:
                listen: { to: { one: { with: { type: dev.perdure.approval.decided.v1 }, correlate: { request: { from: .subject, expect: '${ .id }' } } } } }
                timeout: { after: { hours: 48 } }
                output: { as: '.[0]' }
    """
    And given the workflow input is:
    """yaml
    amount: 90
    """
    When the workflow is started
    And an event arrives:
    """yaml
    type: dev.perdure.approval.decided.v1
    subject: ask-8
    data: { approved: false }
    """
    And the process is killed and started
    And time passes: PT47H
    Then the workflow should be waiting
    When an event arrives:
    """yaml
    type: dev.perdure.approval.decided.v1
    subject: ask-7
    data: { approved: true }
    """
    Then the workflow should complete with output:
    """yaml
    approved: true
    """
