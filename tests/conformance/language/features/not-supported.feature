Feature: What is not supported yet says so
  Rows B4 to B7, B16 and B17: checked in full, refused at the end, never pretended.

  @B4
  Scenario: gRPC calls
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: later, version: '1.0.0' }
    do:
      - ask:
          call: grpc
          with:
            proto: { endpoint: 'https://acme.example/greet.proto' }
            service: { name: Greeter, host: acme.example, port: 50051 }
            method: SayHello
            arguments: { name: Ada }
    """
    When the workflow is validated
    Then the workflow should be refused with code 'not-supported-yet' at line 4
    And the finding should say 'not supported yet'

  @B5
  Scenario: AsyncAPI calls
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: later, version: '1.0.0' }
    do:
      - tell:
          call: asyncapi
          with:
            document: { endpoint: 'https://acme.example/asyncapi.json' }
            operation: greet
            message: { payload: { name: Ada } }
    """
    When the workflow is validated
    Then the workflow should be refused with code 'not-supported-yet' at line 4

  @B6
  Scenario: A2A calls
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: later, version: '1.0.0' }
    do:
      - ask:
          call: a2a
          with:
            agentCard: { endpoint: 'https://agent.example/card.json' }
            method: message/send
            parameters: { message: { parts: [ { kind: text, text: Hello } ] } }
    """
    When the workflow is validated
    Then the workflow should be refused with code 'not-supported-yet' at line 4

  @B7
  Scenario: MCP calls
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: later, version: '1.0.0' }
    do:
      - ask:
          call: mcp
          with:
            method: tools/list
            transport: { http: { endpoint: 'https://mcp.example' } }
    """
    When the workflow is validated
    Then the workflow should be refused with code 'not-supported-yet' at line 4

  @B16
  Scenario: Containers
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: later, version: '1.0.0' }
    do:
      - hello:
          run:
            container: { image: hello-world }
    """
    When the workflow is validated
    Then the workflow should be refused with code 'not-supported-yet' at line 5

  @B17 @B15
  Scenario: Scripts
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: later, version: '1.0.0' }
    do:
      - hello:
          run:
            script: { language: python, code: 'print(1)' }
    """
    When the workflow is validated
    Then the workflow should be refused with code 'not-supported-yet' at line 5

  @B17 @B15
  Scenario: Shell commands
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: later, version: '1.0.0' }
    do:
      - hello:
          run:
            shell: { command: 'echo hello' }
    """
    When the workflow is validated
    Then the workflow should be refused with code 'not-supported-yet' at line 5
