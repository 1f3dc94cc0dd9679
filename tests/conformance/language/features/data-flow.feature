Feature: Data flow
  Rows B1 and C1 to C5; rules T1 to T7.

  @T1 @B20
  Scenario: A task's raw input is the output of the task before it
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: flows, version: '1.0.0' }
    do:
      - first: { set: { a: 1, b: 2 }, output: { as: .b } }
      - second: { set: { got: '${ . }' } }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    got: 2
    """

  @T1 @naive
  Scenario: Set does not merge with what was there
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: flows, version: '1.0.0' }
    do:
      - first: { set: { a: 1 } }
      - second: { set: { b: 2 } }
    """
    And given the workflow input is:
    """yaml
    c: 3
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    b: 2
    """

  @T2 @C2 @B1
  Scenario: The condition is tested before the input is checked
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: flows, version: '1.0.0' }
    do:
      - maybe:
          if: .go == true
          input:
            schema: { document: { type: object, required: [ missing ] } }
          set: { a: 1 }
    """
    And given the workflow input is:
    """yaml
    go: false
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    go: false
    """

  @T2 @C4 @naive
  Scenario: Export sees the transformed output, not the old context
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: flows, version: '1.0.0' }
    do:
      - first: { set: { a: 1 }, export: { as: '{ kept: .a }' } }
      - second: { set: { b: 2 }, output: { as: .b }, export: { as: '{ seen: ., output: $output, had: $context }' } }
      - third: { set: '${ $context }' }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    seen: 2
    output: 2
    had: { kept: 1 }
    """

  @C1
  Scenario: The workflow's input schema and input.from both look at the raw input
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: flows, version: '1.0.0' }
    input:
      schema: { document: { type: object, required: [ order ] } }
      from: .order
    do:
      - only: { set: { got: '${ . }' } }
    """
    And given the workflow input is:
    """yaml
    order: 5
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    got: 5
    """

  @C1 @further-instance
  Scenario: A workflow input that does not fit is a validation error of the input
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: flows, version: '1.0.0' }
    input:
      schema: { document: { type: object, required: [ order ] } }
    do:
      - only: { set: { a: 1 } }
    """
    When the workflow is executed
    Then the workflow should fault with the standard error 'validation' and status 400
    And the error should have instance '/input'

  @C2
  Scenario: A task's condition, schema and input.from all look at its raw input
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: flows, version: '1.0.0' }
    do:
      - only:
          if: .order != null
          input:
            schema: { document: { required: [ order ] } }
            from: .order
          set: { got: '${ . }', raw: '${ $task.input }' }
    """
    And given the workflow input is:
    """yaml
    order: 5
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    got: 5
    raw: { order: 5 }
    """

  @C3
  Scenario: The output schema looks at the transformed output
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: flows, version: '1.0.0' }
    do:
      - only:
          set: { n: 5 }
          output:
            as: .n
            schema: { document: { type: integer } }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    5
    """

  @C3 @C5
  Scenario: A task output that does not fit is a validation error of the task
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: flows, version: '1.0.0' }
    do:
      - only:
          set: { n: 5 }
          output:
            as: .n
            schema: { document: { type: string } }
    """
    When the workflow is executed
    Then the workflow should fault with the standard error 'validation' and status 400
    And the error should have instance '/do/0/only'

  @C4
  Scenario: A context that does not fit its schema is a validation error
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: flows, version: '1.0.0' }
    do:
      - only:
          set: { n: 5 }
          export:
            as: .n
            schema: { document: { type: object } }
    """
    When the workflow is executed
    Then the workflow should fault with the standard error 'validation' and status 400
    And the error should have instance '/do/0/only'

  @C5
  Scenario: The workflow's output.as runs after the last task, then its schema
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: flows, version: '1.0.0' }
    output:
      as: .n + 1
      schema: { document: { type: string } }
    do:
      - only: { set: { n: 5 } }
    """
    When the workflow is executed
    Then the workflow should fault with the standard error 'validation' and status 400
    And the error should have instance '/output'

  @C5
  Scenario: A failing expression is an expression error of its task
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: flows, version: '1.0.0' }
    do:
      - only: { set: { n: '${ "a" - 1 }' } }
    """
    When the workflow is executed
    Then the workflow should fault with the standard error 'expression' and status 400
    And the error should have instance '/do/0/only'

  @T3
  Scenario: The workflow's and the task's input are raw, $input is transformed
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: flows, version: '1.0.0' }
    input: { from: .order }
    do:
      - only:
          input: { from: .id }
          set: { workflow: '${ $workflow.input }', task: '${ $task.input }', input: '${ $input }' }
    """
    And given the workflow input is:
    """yaml
    order: { id: 7 }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    workflow: { order: { id: 7 } }
    task: { id: 7 }
    input: 7
    """

  @T3 @naive
  Scenario: The task's output stays raw where $output is transformed
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: flows, version: '1.0.0' }
    do:
      - only:
          set: { n: 5 }
          output: { as: .n }
          export: { as: '{ raw: $task.output, transformed: $output }' }
      - last: { set: '${ $context }' }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    raw: { n: 5 }
    transformed: 5
    """

  @T4 @B1
  Scenario: A task that is passed over hands on its raw input and exports nothing
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: flows, version: '1.0.0' }
    do:
      - maybe:
          if: .n > 10
          input: { from: .n }
          set: { big: true }
          output: { as: '"changed"' }
          export: { as: '{ changed: true }' }
      - last: { set: { got: '${ . }', context: '${ $context }' } }
    """
    And given the workflow input is:
    """yaml
    n: 3
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    got: { n: 3 }
    context: {}
    """
    And maybe should not run

  @T4 @naive @perdure
  Scenario: The directive of a task that is passed over is ignored
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: flows, version: '1.0.0' }
    do:
      - maybe: { if: 'false', set: { a: 1 }, then: end }
      - last: { set: { reached: true } }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    reached: true
    """

  @T4 @perdure
  Scenario: A directive on a task that may be passed over is worth a remark
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: flows, version: '1.0.0' }
    do:
      - maybe: { if: .a, set: { a: 1 }, then: end }
      - last: { set: { reached: true } }
    """
    When the workflow is validated
    Then the workflow should be accepted with a remark at line 3

  @T5 @perdure
  Scenario: Context and input start as empty objects
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: flows, version: '1.0.0' }
    do:
      - only: { set: { context: '${ $context }', input: '${ . }', workflow: '${ $workflow.input }' } }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    context: {}
    input: {}
    workflow: {}
    """

  @T5 @naive @perdure
  Scenario: The first export can add to the context because it is not null
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: flows, version: '1.0.0' }
    do:
      - only: { set: { a: 1 }, export: { as: '$context | keys | length' } }
      - last: { set: { keys: '${ $context }' } }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    keys: 0
    """

  @T6 @perdure
  Scenario: In output.as, $output is the raw output
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: flows, version: '1.0.0' }
    do:
      - only:
          set: { a: 1 }
          output: { as: '{ same: ($output == .), raw: $output }' }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    same: true
    raw: { a: 1 }
    """

  @T6 @naive @perdure
  Scenario: In output.as, $output is neither null nor the input
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: flows, version: '1.0.0' }
    do:
      - ask:
          call: stock
          with: { sku: 1 }
          output: { as: '$output.left + $input.want' }
    """
    And the function 'stock' returns:
    """yaml
    left: 4
    """
    And given the workflow input is:
    """yaml
    want: 2
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    6
    """

  @T7 @E7
  Scenario: A secret is offered everywhere and opened only in the function
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: secretive, version: '1.0.0' }
    use: { secrets: [ pay ] }
    do:
      - hold:
          set: { token: '${ $secrets.pay.token }' }
          export: { as: '{ token: $secrets.pay.token }' }
      - charge:
          call: charge
          with: { held: '${ .token }', own: '${ $secrets.pay.token }', header: '${ "Bearer \($secrets.pay.token)" }' }
    """
    And the secret 'pay' is:
    """yaml
    token: hush-hush
    """
    And the function 'charge' returns:
    """yaml
    paid: true
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    paid: true
    """
    And the call 'charge' should have been made with:
    """yaml
    held: hush-hush
    own: hush-hush
    header: Bearer hush-hush
    """
    And nothing that is kept should contain 'hush-hush'

  @T7 @naive @perdure
  Scenario: Nothing can be computed from a secret
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: secretive, version: '1.0.0' }
    use: { secrets: [ pay ] }
    do:
      - leak:
          set:
            size: '${ $secrets.pay.token | length }'
    """
    When the workflow is validated
    Then the workflow should be refused at line 6

  @E7 @further-secrets @perdure
  Scenario: A secret that is not declared is refused
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: secretive, version: '1.0.0' }
    do:
      - ask:
          call: charge
          with: { token: '${ $secrets.pay }' }
    """
    And the function 'charge' returns:
    """yaml
    1
    """
    When the workflow is validated
    Then the workflow should be refused at line 5

  @E7 @further-secrets
  Scenario: A declared secret that is missing is an authorization error
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: secretive, version: '1.0.0' }
    use: { secrets: [ pay ] }
    do:
      - ask:
          call: charge
          with: { token: '${ $secrets.pay }' }
    """
    And the function 'charge' returns:
    """yaml
    1
    """
    When the workflow is executed
    Then the workflow should fault with the standard error 'authorization' and status 403
    And the error should have instance '/do/0/ask'

  @B1
  Scenario: An argument that a place does not offer is refused, not null
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: flows, version: '1.0.0' }
    do:
      - only:
          if: $output.a
          set: { a: 1 }
    """
    When the workflow is validated
    Then the workflow should be refused at line 4

  @B1
  Scenario: The arguments describe the task, the workflow and the runtime
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: flows, version: '1.0.0' }
    do:
      - only:
          metadata: { colour: red }
          set:
            name: ${ $task.name }
            reference: ${ $task.reference }
            colour: ${ $task.definition.metadata.colour }
            workflow: ${ $workflow.definition.document.version }
            runtime: ${ $runtime.name }
            started: '${ $task.startedAt.iso8601 | type }'
            seconds: '${ $workflow.startedAt.epoch.seconds | type }'
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    name: only
    reference: /do/0/only
    colour: red
    workflow: 1.0.0
    runtime: Perdure
    started: string
    seconds: number
    """
