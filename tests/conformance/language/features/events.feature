Feature: Events
  Rows B10, B13 and E10; rules T8, T13 to T15.

  @T8 @B10
  Scenario: Emit gives the whole event that was sent
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: tells, version: '1.0.0' }
    do:
      - tell:
          emit:
            event:
              with:
                type: com.acme.told.v1
                subject: ${ .about }
                colour: red
                data: { n: '${ .n + 1 }' }
    """
    And given the workflow input is:
    """yaml
    about: order-7
    n: 1
    """
    When the workflow is executed
    Then the workflow should complete
    And the workflow output should have properties 'id', 'specversion', 'time', 'source', 'type', 'data'
    And the workflow output should have a 'source' property with value:
    """yaml
    /acme/tells/1.0.0
    """
    And the workflow output should have a 'data' property with value:
    """yaml
    n: 2
    """
    And an event should have been emitted with:
    """yaml
    specversion: '1.0'
    type: com.acme.told.v1
    subject: order-7
    colour: red
    data: { n: 2 }
    """

  @T8 @naive
  Scenario: Emit does not hand its input through
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: tells, version: '1.0.0' }
    do:
      - tell: { emit: { event: { with: { type: com.acme.told.v1, id: own-id, source: 'https://acme.example' } } } }
      - last: { set: { id: '${ .id }', source: '${ .source }', kept: '${ .kept }' } }
    """
    And given the workflow input is:
    """yaml
    kept: 1
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    id: own-id
    source: https://acme.example
    kept: null
    """

  @T13 @B13
  Scenario: Listening to one event gives an array of one
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: hears, version: '1.0.0' }
    do:
      - hear: { listen: { to: { one: { with: { type: com.acme.went.v1 } } } } }
    """
    When the workflow is started
    And an event arrives:
    """yaml
    type: com.acme.other.v1
    data: { n: 1 }
    """
    Then the workflow should be waiting
    When an event arrives:
    """yaml
    type: com.acme.went.v1
    data: { n: 2 }
    """
    Then the workflow should complete with output:
    """yaml
    - { n: 2 }
    """

  @T13 @naive
  Scenario: The event that ends a listening by strategy is not in the array
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: hears, version: '1.0.0' }
    do:
      - hear:
          listen:
            to:
              any: [ { with: { type: com.acme.beat.v1 } } ]
              until: { one: { with: { type: com.acme.left.v1 } } }
    """
    When the workflow is started
    And an event arrives:
    """yaml
    type: com.acme.beat.v1
    data: 1
    """
    And an event arrives:
    """yaml
    type: com.acme.beat.v1
    data: 2
    """
    And an event arrives:
    """yaml
    type: com.acme.left.v1
    data: 3
    """
    Then the workflow should complete with output:
    """yaml
    [ 1, 2 ]
    """

  @T13 @B13
  Scenario: An until expression looks at the array so far, after each event
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: hears, version: '1.0.0' }
    do:
      - hear:
          listen:
            to:
              any: []
              until: (map(.n) | add) >= 5
    """
    When the workflow is started
    And an event arrives:
    """yaml
    type: com.acme.one.v1
    data: { n: 3 }
    """
    Then the workflow should be waiting
    When an event arrives:
    """yaml
    type: com.acme.two.v1
    data: { n: 2 }
    """
    Then the workflow should complete with output:
    """yaml
    - { n: 3 }
    - { n: 2 }
    """

  @T13 @B13
  Scenario: Without until, listening to any ends with the first event
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: hears, version: '1.0.0' }
    do:
      - hear:
          listen:
            to: { any: [ { with: { type: com.acme.one.v1 } }, { with: { type: com.acme.two.v1 } } ] }
            read: envelope
          output: { as: 'map({ type, data })' }
    """
    When the workflow is started
    And an event arrives:
    """yaml
    type: com.acme.two.v1
    data: 2
    """
    Then the workflow should complete with output:
    """yaml
    - { type: com.acme.two.v1, data: 2 }
    """

  @T13 @B13 @naive
  Scenario: Listening to all needs one event for each filter and leaves more of them for later
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: hears, version: '1.0.0' }
    do:
      - both: { listen: { to: { all: [ { with: { type: com.acme.one.v1 } }, { with: { type: com.acme.two.v1 } } ] } }, export: { as: '{ first: . }' } }
      - later: { listen: { to: { one: { with: { type: com.acme.one.v1 } } } } }
      - last: { set: { first: '${ $context.first | sort }', later: '${ . }' } }
    """
    When the workflow is started
    And an event arrives:
    """yaml
    type: com.acme.one.v1
    data: 1
    """
    And an event arrives:
    """yaml
    type: com.acme.one.v1
    data: 10
    """
    Then the workflow should be waiting
    When an event arrives:
    """yaml
    type: com.acme.two.v1
    data: 2
    """
    Then the workflow should complete with output:
    """yaml
    first: [ 1, 2 ]
    later: [ 10 ]
    """

  @T13 @B13
  Scenario: Foreach treats events one after another, first in first out
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: hears, version: '1.0.0' }
    do:
      - hear:
          listen: { to: { any: [ { with: { type: com.acme.beat.v1 } } ], until: length == 3 } }
          foreach:
            item: beat
            at: place
            do:
              - treat: { call: treat, with: { beat: '${ $beat }', place: '${ $place }' } }
            output: { as: '{ treated: . }' }
            export: { as: '{ last: $beat }' }
          output: { as: '{ all: ., context: $context }' }
    """
    And the function 'treat' answers in turn:
    """yaml
    - { output: a, after: PT5S }
    - { output: b, after: PT1S }
    - { output: c, after: PT1S }
    """
    When the workflow is started
    And an event arrives:
    """yaml
    type: com.acme.beat.v1
    data: 1
    """
    And an event arrives:
    """yaml
    type: com.acme.beat.v1
    data: 2
    """
    And an event arrives:
    """yaml
    type: com.acme.beat.v1
    data: 3
    """
    Then the call 'treat' should have been made 1 times
    When time passes: PT10S
    Then the workflow should complete with output:
    """yaml
    all: [ { treated: a }, { treated: b }, { treated: c } ]
    context: { last: 3 }
    """
    And the calls of 'treat' should have been made with:
    """yaml
    - { beat: 1, place: 0 }
    - { beat: 2, place: 1 }
    - { beat: 3, place: 2 }
    """

  @T14 @perdure
  Scenario: An event that comes before its subscription is kept
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: keeps, version: '1.0.0' }
    do:
      - nap: { wait: PT5S }
      - hear: { listen: { to: { one: { with: { type: com.acme.went.v1 } } } } }
    """
    When the workflow is started
    And an event arrives:
    """yaml
    type: com.acme.went.v1
    data: early
    """
    And time passes: PT5S
    Then the workflow should complete with output:
    """yaml
    [ early ]
    """

  @T14 @naive @perdure
  Scenario: The same event twice is one event
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: keeps, version: '1.0.0' }
    do:
      - hear: { listen: { to: { any: [ { with: { type: com.acme.beat.v1 } } ], until: length == 2 } } }
    """
    When the workflow is started
    And an event arrives:
    """yaml
    id: e-1
    source: https://acme.example
    type: com.acme.beat.v1
    data: 1
    """
    And an event arrives:
    """yaml
    id: e-1
    source: https://acme.example
    type: com.acme.beat.v1
    data: 1
    """
    Then the workflow should be waiting
    When an event arrives:
    """yaml
    id: e-1
    source: https://elsewhere.example
    type: com.acme.beat.v1
    data: 2
    """
    Then the workflow should complete with output:
    """yaml
    [ 1, 2 ]
    """

  @T14 @further-own-events @perdure
  Scenario: A run hears what it said itself, also before it listened
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: keeps, version: '1.0.0' }
    do:
      - tell: { emit: { event: { with: { type: com.acme.said.v1, data: { n: 1 } } } } }
      - hear: { listen: { to: { one: { with: { type: com.acme.said.v1 } } } } }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    - { n: 1 }
    """

  @T15 @E10
  Scenario: An expression in a filter is a predicate on its attribute
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: filters, version: '1.0.0' }
    do:
      - hear:
          listen:
            to:
              one:
                with:
                  type: '${ test("^com[.]acme[.]") }'
                  data: '${ .temperature > $workflow.input.limit }'
    """
    And given the workflow input is:
    """yaml
    limit: 38
    """
    When the workflow is started
    And an event arrives:
    """yaml
    type: com.acme.measured.v1
    data: { temperature: 37 }
    """
    And an event arrives:
    """yaml
    type: org.acme.measured.v1
    data: { temperature: 41 }
    """
    Then the workflow should be waiting
    When an event arrives:
    """yaml
    type: com.acme.measured.v2
    data: { temperature: 39 }
    """
    Then the workflow should complete with output:
    """yaml
    - { temperature: 39 }
    """

  @T15 @naive
  Scenario: A plain text in a filter means equality, not a pattern
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: filters, version: '1.0.0' }
    do:
      - hear: { listen: { to: { one: { with: { type: 'com.acme.*' } } } } }
    """
    When the workflow is started
    And an event arrives:
    """yaml
    type: com.acme.went.v1
    data: 1
    """
    Then the workflow should be waiting
    When an event arrives:
    """yaml
    type: com.acme.*
    data: 2
    """
    Then the workflow should complete with output:
    """yaml
    [ 2 ]
    """

  @T15 @E10
  Scenario: The first value of a correlation binds for the run
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: correlates, version: '1.0.0' }
    do:
      - hear:
          listen:
            to:
              all:
                - { with: { type: com.acme.one.v1 }, correlate: { order: { from: .data.order } } }
                - { with: { type: com.acme.two.v1 }, correlate: { order: { from: .data.order } } }
          output: { as: 'map(.order)' }
    """
    When the workflow is started
    And an event arrives:
    """yaml
    type: com.acme.one.v1
    data: { order: 7 }
    """
    And an event arrives:
    """yaml
    type: com.acme.two.v1
    data: { order: 8 }
    """
    Then the workflow should be waiting
    When an event arrives:
    """yaml
    type: com.acme.two.v1
    data: { order: 7 }
    """
    Then the workflow should complete with output:
    """yaml
    [ 7, 7 ]
    """

  @E10 @T15
  Scenario: An expected value picks the event
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: correlates, version: '1.0.0' }
    do:
      - hear:
          listen:
            to:
              one:
                with: { type: com.acme.paid.v1 }
                correlate: { order: { from: .subject, expect: '${ .order }' } }
    """
    And given the workflow input is:
    """yaml
    order: order-7
    """
    When the workflow is started
    And an event arrives:
    """yaml
    type: com.acme.paid.v1
    subject: order-8
    data: 8
    """
    Then the workflow should be waiting
    When an event arrives:
    """yaml
    type: com.acme.paid.v1
    subject: order-7
    data: 7
    """
    Then the workflow should complete with output:
    """yaml
    [ 7 ]
    """

  @E10
  Scenario: A filter names one attribute at least
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: filters, version: '1.0.0' }
    do:
      - hear:
          listen:
            to:
              one:
                with: {}
    """
    When the workflow is validated
    Then the workflow should be refused at line 7

  @B13
  Scenario: Only any can be listened to until something
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: hears, version: '1.0.0' }
    do:
      - hear:
          listen:
            to:
              one: { with: { type: com.acme.one.v1 } }
              until: length == 1
    """
    When the workflow is validated
    Then the workflow should be refused at line 7

  @B13 @E4
  Scenario: Listening can time out
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: hears, version: '1.0.0' }
    do:
      - hear:
          listen: { to: { one: { with: { type: com.acme.went.v1 } } } }
          timeout: { after: PT2H }
    """
    When the workflow is executed
    Then the workflow should fault with the standard error 'timeout' and status 408
    And the run should have taken PT2H

  @B13
  Scenario: A killed process goes on listening
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: hears, version: '1.0.0' }
    do:
      - ask: { call: once }
      - hear: { listen: { to: { one: { with: { type: com.acme.went.v1 } } } } }
    """
    And the function 'once' returns:
    """yaml
    1
    """
    When the workflow is started
    And the process is killed and started
    And an event arrives:
    """yaml
    type: com.acme.went.v1
    data: 5
    """
    Then the workflow should complete with output:
    """yaml
    [ 5 ]
    """
    And the call 'once' should have been made 1 times

  @T15 @naive
  Scenario: A condition inside an object is refused instead of being compared as text
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: hears, version: '1.0.0' }
    do:
      - hear:
          listen: { to: { one: { with: { type: com.acme.went.v1, data: { amount: '${ . > 10 }' } } } } }
    """
    When the workflow is validated
    Then the workflow should be refused at line 4
