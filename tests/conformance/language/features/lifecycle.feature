Feature: Lifecycle
  Rows L1 and L2: what the history says.

  @L1
  Scenario: A run tells its start and its end
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: lives, version: '1.0.0' }
    do:
      - only: { set: { a: 1 } }
    """
    When the workflow is executed
    Then the workflow should complete
    And the history should contain 'workflow.started.v1' once
    And the history should contain 'workflow.completed.v1' once
    And 'workflow.started.v1' should come with:
    """yaml
    definition: { namespace: acme, name: lives, version: 1.0.0 }
    """

  @L1
  Scenario: A run that faults tells its error
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: lives, version: '1.0.0' }
    do:
      - no: { raise: { error: { type: 'https://acme.example/errors/no', status: 409 } } }
    """
    When the workflow is executed
    Then the workflow should fault
    And the history should contain 'task.faulted.v1' for 'no' once
    And the history should contain 'workflow.faulted.v1' once
    And 'workflow.faulted.v1' should come with:
    """yaml
    error: { type: 'https://acme.example/errors/no', status: 409, instance: /do/0/no }
    """

  @L1
  Scenario: A correlation tells its beginning and its keys
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: lives, version: '1.0.0' }
    do:
      - hear: { listen: { to: { one: { with: { type: com.acme.went.v1 }, correlate: { order: { from: .data.order } } } } } }
    """
    When the workflow is started
    And an event arrives:
    """yaml
    type: com.acme.went.v1
    data: { order: 7 }
    """
    Then the workflow should complete
    And the history should contain 'workflow.correlation-started.v1' once
    And 'workflow.correlation-completed.v1' should come with:
    """yaml
    correlationKeys: { order: 7 }
    """

  @L2 @A7
  Scenario: A task tells that it was created, started and completed
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: lives, version: '1.0.0' }
    do:
      - outer: { do: [ { inner: { set: { a: 1 } } } ] }
    """
    When the workflow is executed
    Then the workflow should complete
    And the history should contain 'task.created.v1' for 'inner' once
    And the history should contain 'task.started.v1' for 'inner' once
    And the history should contain 'task.completed.v1' for 'inner' once
    And the history should contain 'task.completed.v1' for 'outer' once
    And inner should run after outer

  @L2
  Scenario: A task tells that it was retried
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: lives, version: '1.0.0' }
    do:
      - attempt:
          try: [ { ask: { call: flaky } } ]
          catch: { retry: { delay: PT1S, limit: { attempt: { count: 3 } } } }
    """
    And the function 'flaky' answers in turn:
    """yaml
    - { fault: { type: 'https://acme.example/errors/flaky', status: 503 } }
    - { output: fine }
    """
    When the workflow is executed
    Then the workflow should complete
    And the history should contain 'task.retried.v1' once
    And the history should contain 'task.faulted.v1' for 'ask' once

  @L2 @A7
  Scenario: Cancelling a run cancels its open tasks
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: lives, version: '1.0.0' }
    do:
      - both:
          fork:
            branches:
              - nap: { wait: PT1H }
              - hear: { listen: { to: { one: { with: { type: com.acme.never.v1 } } } } }
    """
    When the workflow is started
    And the run is cancelled
    Then the workflow should be cancelled
    And the history should contain 'task.cancelled.v1' for 'nap' once
    And the history should contain 'task.cancelled.v1' for 'hear' once
    And the history should contain 'task.cancelled.v1' for 'both' once
