Feature: Approvals
  Section 5.4: `approve` is a task that asks by an event and waits for the one that answers. Who answers here is another
  branch, as any other system could.

  @perdure
  Scenario: A person decides, and the decision is the task's output
    Given a workflow with definition:
      """yaml
      document: { dsl: '1.0.3', namespace: test, name: approval, version: '1.0.0' }
      do:
        - both:
            fork:
              branches:
                - ask:
                    call: approve
                    with:
                      title: Pay 70?
                      details: '${ .order }'
                      to: [ 'role:operator' ]
                      form: { type: object, required: [ account ], properties: { account: { type: string } } }
                    output: { as: '{ approved, by, reason, data }' }
                - person:
                    do:
                      - request:
                          listen: { to: { one: { with: { type: dev.perdure.approval.requested.v1 } } }, read: envelope }
                          output: { as: '.[0]' }
                      - mistaken:
                          emit:
                            event:
                              with:
                                type: dev.perdure.approval.decided.v1
                                subject: ${ .id }
                                data: { approved: true, hash: of something else }
                          output: { as: $input }
                      - later: { wait: { seconds: 5 } }
                      - decide:
                          emit:
                            event:
                              with:
                                type: dev.perdure.approval.decided.v1
                                subject: ${ .id }
                                data:
                                  approved: '${ .data.details.amount < 100 }'
                                  by: ana
                                  reason: '${ .data.title }'
                                  data: { account: main }
                                  hash: '${ .data.hash }'
                          output: { as: '${ $input.data | { to, form: .form.type } }' }
      """
    And given the workflow input is:
      """yaml
      order: { amount: 70 }
      """
    When the workflow is started
    And time passes: PT4S
    Then the workflow should be waiting
    When the process is killed and started
    And time passes: PT2S
    Then the workflow should complete with output:
      """yaml
      - { approved: true, by: ana, reason: Pay 70?, data: { account: main } }
      - { to: [ 'role:operator' ], form: object }
      """

  @perdure
  Scenario: Nobody answers within two days
    Given a workflow with definition:
      """yaml
      document: { dsl: '1.0.3', namespace: test, name: approval, version: '1.0.0' }
      do:
        - ask: { call: approve, with: { title: Anybody? } }
      """
    When the workflow is started
    And time passes: PT47H59M
    Then the workflow should be waiting
    When time passes: PT2M
    Then the workflow should fault with the standard error 'timeout' and status 408
    And the error should have instance '/do/0/ask'

  @perdure
  Scenario: The task's own time limit is that of the answer
    Given a workflow with definition:
      """yaml
      document: { dsl: '1.0.3', namespace: test, name: approval, version: '1.0.0' }
      do:
        - careful:
            try:
              - ask: { call: approve, with: { title: Anybody? }, timeout: { after: { minutes: 1 } } }
            catch:
              errors: { with: { status: 408 } }
              do:
                - none: { set: { approved: false, by: nobody } }
      """
    When the workflow is started
    And time passes: PT2M
    Then the workflow should complete with output:
      """yaml
      { approved: false, by: nobody }
      """

  @perdure
  Scenario: Approvals in parallel branches: the right branch goes on
    Given a workflow with definition:
      """yaml
      document: { dsl: '1.0.3', namespace: test, name: approval, version: '1.0.0' }
      do:
        - all:
            fork:
              branches:
                - first:
                    do:
                      - ask: { call: approve, with: { title: first } }
                      - done: { call: pay, with: { who: first, by: '${ .by }' } }
                - second:
                    do:
                      - ask: { call: approve, with: { title: second } }
                      - done: { call: pay, with: { who: second, by: '${ .by }' } }
                - people:
                    do:
                      - requests:
                          listen:
                            to: { all: [ { with: { type: dev.perdure.approval.requested.v1, data: '${ .title == "first" }' } },
                                         { with: { type: dev.perdure.approval.requested.v1, data: '${ .title == "second" }' } } ] }
                            read: envelope
                      - second:
                          emit:
                            event:
                              with:
                                type: dev.perdure.approval.decided.v1
                                subject: '${ .[] | select(.data.title == "second") | .id }'
                                data: { approved: true, by: second }
                          output: { as: $input }
                      - later: { wait: { seconds: 5 } }
                      - first:
                          emit:
                            event:
                              with:
                                type: dev.perdure.approval.decided.v1
                                subject: '${ .[] | select(.data.title == "first") | .id }'
                                data: { approved: true, by: first }
                          output: { as: '"done"' }
      """
    And the function 'pay' gives back its arguments
    When the workflow is started
    And time passes: PT4S
    Then the call 'pay' should have been made with:
      """yaml
      { who: second, by: second }
      """
    And the call 'pay' should have been made 1 times
    When time passes: PT2S
    Then the workflow should complete with output:
      """yaml
      - { who: first, by: first }
      - { who: second, by: second }
      - done
      """
    And the call 'pay' should have been made 2 times

  @perdure
  Scenario: An approval in a loop is one for each iteration, and no effect is repeated
    Given a workflow with definition:
      """yaml
      document: { dsl: '1.0.3', namespace: test, name: approval, version: '1.0.0' }
      do:
        - both:
            fork:
              branches:
                - loop:
                    for: { in: '${ [1, 2, 3] }', each: n }
                    do:
                      - before: { call: charge, with: { n: '${ $n }' } }
                      - ask: { call: approve, with: { title: 'one of three', details: '${ $n }' } }
                      - after: { call: pay, with: { n: '${ $n }', approved: '${ .approved }' } }
                - people:
                    listen:
                      to: { any: [ { with: { type: dev.perdure.approval.requested.v1 } } ], until: '${ length == 3 }' }
                      read: envelope
                    foreach:
                      item: asked
                      do:
                        - decide:
                            emit:
                              event:
                                with:
                                  type: dev.perdure.approval.decided.v1
                                  subject: ${ $asked.id }
                                  data: { approved: '${ $asked.data.details != 2 }' }
                            output: { as: $asked.data.details }
      """
    And the function 'charge' gives back its arguments
    And the function 'pay' gives back its arguments
    When the workflow is executed
    Then the workflow should complete with output:
      """yaml
      - { n: 3, approved: true }
      - [ 1, 2, 3 ]
      """
    And the calls of 'pay' should have been made with:
      """yaml
      - { n: 1, approved: true }
      - { n: 2, approved: false }
      - { n: 3, approved: true }
      """
    And the call 'charge' should have been made 3 times

  @perdure
  Scenario: An approval in a sub-workflow: the parent waits and goes on, its variables intact
    Given a published workflow with definition:
      """yaml
      document: { dsl: '1.0.3', namespace: test, name: child, version: '1.0.0' }
      do:
        - ask: { call: approve, with: { title: 'from below', details: '${ . }' } }
      """
    And a workflow with definition:
      """yaml
      document: { dsl: '1.0.3', namespace: test, name: approval, version: '1.0.0' }
      do:
        - remember: { set: { kept: 7 }, export: { as: '{ kept: .kept }' } }
        - both:
            fork:
              branches:
                - below:
                    run: { workflow: { namespace: test, name: child, version: '1.0.0', input: { n: '${ .kept }' } } }
                    output: { as: .approved }
                - person:
                    do:
                      - request:
                          listen: { to: { one: { with: { type: dev.perdure.approval.requested.v1 } } }, read: envelope }
                          output: { as: '.[0]' }
                      - later: { wait: { seconds: 5 } }
                      - decide:
                          emit:
                            event:
                              with:
                                type: dev.perdure.approval.decided.v1
                                subject: ${ .id }
                                data: { approved: true }
                          output: { as: '${ $input.data.details.n }' }
        - last: { set: { got: '${ . }', kept: '${ $context.kept }' } }
      """
    When the workflow is started
    And time passes: PT4S
    Then the workflow should be running
    When time passes: PT2S
    Then the workflow should complete with output:
      """yaml
      { got: [ true, 7 ], kept: 7 }
      """
