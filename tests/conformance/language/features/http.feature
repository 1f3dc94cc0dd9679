Feature: HTTP and OpenAPI
  Rows B2, B3, B25, B26, E5 and E6; rule T29.

  @B2 @B26
  Scenario: A call sends method, headers, query and body
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: asks, version: '1.0.0' }
    do:
      - ask:
          call: http
          with:
            method: post
            endpoint: { uri: 'https://shop.example/orders' }
            headers: { x-kind: '${ .kind }', idempotency-key: order-7 }
            query: { limit: '5', page: '${ .page }' }
            body: { id: '${ .id }' }
    """
    And the host 'https://shop.example' answers:
    """yaml
    - { on: 'POST /orders?limit=5&page=2', status: 201, body: { made: true } }
    """
    And given the workflow input is:
    """yaml
    kind: test
    id: 7
    page: 2
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    made: true
    """
    And 'https://shop.example' should have been asked with headers:
    """yaml
    x-kind: test
    content-type: application/json
    """
    And 'https://shop.example' should have been asked with body:
    """yaml
    id: 7
    """

  @B2 @B26
  Scenario: The whole response can be the output
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: asks, version: '1.0.0' }
    do:
      - ask:
          call: http
          with: { method: get, endpoint: 'https://shop.example/orders/7', output: response }
    """
    And the host 'https://shop.example' answers:
    """yaml
    - { on: GET /orders/7, status: 200, headers: { x-served-by: one }, body: { id: 7 } }
    """
    When the workflow is executed
    Then the workflow should complete
    And the workflow output should have properties 'request.method', 'request.uri', 'request.headers', 'headers'
    And the workflow output should have a 'statusCode' property with value:
    """yaml
    200
    """
    And the workflow output should have a 'content.id' property with value:
    """yaml
    7
    """
    And the workflow output should have a 'headers.x-served-by' property with value:
    """yaml
    one
    """

  @B2
  Scenario: The raw content comes as base64
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: asks, version: '1.0.0' }
    do:
      - ask:
          call: http
          with: { method: get, endpoint: 'https://shop.example/text', output: raw }
    """
    And the host 'https://shop.example' answers:
    """yaml
    - { on: GET /text, status: 200, text: hello }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    aGVsbG8=
    """

  @B2 @further-text
  Scenario: The endpoint can be an expression, and so can all headers and the whole query at once
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: asks, version: '1.0.0' }
    do:
      - ask:
          call: http
          with:
            method: GET
            endpoint: ${ "https://shop.example/" + .where }
            headers: '${ { "x-count": 3 } }'
            query: '${ { open: true } }'
    """
    And the host 'https://shop.example' answers:
    """yaml
    - { on: 'GET /orders?open=true', status: 200, body: [] }
    """
    And given the workflow input is:
    """yaml
    where: orders
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    []
    """
    And 'https://shop.example' should have been asked with headers:
    """yaml
    x-count: '3'
    """

  @T29 @B2
  Scenario Outline: A status outside 2xx is a communication error with that status
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: asks, version: '1.0.0' }
    do:
      - ask: { call: http, with: { method: get, endpoint: 'https://shop.example/orders/7' } }
    """
    And the host 'https://shop.example' answers:
    """yaml
    - { on: GET /orders/7, status: <status>, headers: { location: 'https://shop.example/orders/8' } }
    - { on: GET /orders/8, status: 200, body: followed }
    """
    When the workflow is executed
    Then the workflow should fault with the standard error 'communication' and status <status>
    And the error should have instance '/do/0/ask'
    And 'https://shop.example' should have been asked 1 times

    Examples:
      | status |
      | 302    |
      | 404    |
      | 500    |

  @T29 @naive @further-redirect
  Scenario: With redirect a 3xx is no error and is not followed
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: asks, version: '1.0.0' }
    do:
      - ask:
          call: http
          with: { method: get, endpoint: 'https://shop.example/orders/7', redirect: true, output: response }
          output: { as: '{ statusCode, location: .headers.location }' }
    """
    And the host 'https://shop.example' answers:
    """yaml
    - { on: GET /orders/7, status: 302, headers: { location: 'https://shop.example/orders/8' } }
    - { on: GET /orders/8, status: 200, body: followed }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    statusCode: 302
    location: https://shop.example/orders/8
    """
    And 'https://shop.example' should have been asked 1 times

  @T29 @B25 @further-text
  Scenario: A place in a URI template reads the top-level property of that exact name
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: asks, version: '1.0.0' }
    do:
      - ask: { call: http, with: { method: get, endpoint: 'https://shop.example/{pet.id}/{sold}/x{missing}x{nothing}/{name}' } }
    """
    And the host 'https://shop.example' answers:
    """yaml
    - { on: GET /7/true/xx/a%20b%2Fc, status: 200, body: fine }
    """
    And given the workflow input is:
    """yaml
    pet.id: 7
    pet: { id: 8 }
    sold: true
    nothing: null
    name: a b/c
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    fine
    """

  @T29 @B25 @naive
  Scenario: An object in a URI template is an expression error, not its text
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: asks, version: '1.0.0' }
    do:
      - ask: { call: http, with: { method: get, endpoint: 'https://shop.example/{pet}' } }
    """
    And given the workflow input is:
    """yaml
    pet: { id: 8 }
    """
    When the workflow is executed
    Then the workflow should fault with the standard error 'expression' and status 400

  @T29 @naive @perdure
  Scenario: An expression inside an address is refused with a hint
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: asks, version: '1.0.0' }
    do:
      - ask:
          call: http
          with:
            method: get
            endpoint: https://shop.example/${.id}
    """
    When the workflow is validated
    Then the workflow should be refused at line 7
    And the finding should propose '\('

  @B2
  Scenario: A header that is a number in the document is worth a remark
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: asks, version: '1.0.0' }
    do:
      - ask:
          call: http
          with:
            method: get
            endpoint: https://shop.example
            headers:
              x-count: 5
    """
    When the workflow is validated
    Then the workflow should be accepted with a remark at line 9

  @B3
  Scenario: An OpenAPI 3 operation is found by its id
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: opens, version: '1.0.0' }
    do:
      - find:
          call: openapi
          with:
            document: { endpoint: 'https://api.example/openapi.json' }
            operationId: findPets
            parameters: { kind: cats, limit: '${ .limit }' }
          output: { as: '.[0].name' }
    """
    And the host 'https://api.example' answers:
    """yaml
    - on: GET /openapi.json
      status: 200
      body:
        openapi: 3.0.3
        info: { title: Pets, version: '1' }
        servers: [ { url: 'https://api.example/v1' } ]
        paths:
          /pets/{kind}:
            get:
              operationId: findPets
              parameters:
                - { name: kind, in: path, required: true, schema: { type: string } }
                - { name: limit, in: query, schema: { type: integer } }
              responses: { '200': { description: Pets } }
    - { on: 'GET /v1/pets/cats?limit=2', status: 200, body: [ { name: Tom } ] }
    """
    And given the workflow input is:
    """yaml
    limit: 2
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    Tom
    """

  @B3
  Scenario: A Swagger 2.0 operation is found by its id
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: opens, version: '1.0.0' }
    do:
      - find:
          call: openapi
          with:
            document: { endpoint: 'https://api.example/swagger.json' }
            operationId: findPet
            parameters: { id: 7 }
    """
    And the host 'https://api.example' answers:
    """yaml
    - on: GET /swagger.json
      status: 200
      body:
        swagger: '2.0'
        info: { title: Pets, version: '1' }
        host: api.example
        basePath: /v2
        schemes: [ https ]
        paths:
          /pets/{id}:
            get:
              operationId: findPet
              parameters: [ { name: id, in: path, required: true, type: integer } ]
              responses: { '200': { description: A pet } }
    - { on: GET /v2/pets/7, status: 200, body: { name: Tom } }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    name: Tom
    """

  @further-outside @B3 @perdure @unsafe
  Scenario: An address that only the run knows is fetched by the function
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: opens, version: '1.0.0' }
    do:
      - find:
          call: openapi
          with:
            document: { endpoint: '${ .where }' }
            operationId: findPet
    """
    And the host 'https://api.example' answers:
    """yaml
    - { on: GET /missing.json, status: 404 }
    """
    And given the workflow input is:
    """yaml
    where: https://api.example/missing.json
    """
    When the workflow is executed
    Then the workflow should fault with the standard error 'communication' and status 404

  @further-outside @B3 @perdure
  Scenario: A fixed address that cannot be read is refused before anything runs
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: opens, version: '1.0.0' }
    do:
      - find:
          call: openapi
          with:
            document: { endpoint: 'https://api.example/missing.json' }
            operationId: findPet
    """
    And the host 'https://api.example' answers:
    """yaml
    - { on: GET /missing.json, status: 404 }
    """
    When the workflow is executed
    Then the outside documents should be refused with a message about 'https://api.example/missing.json'

  @B25
  Scenario: A schema can be an outside document
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: schemas, version: '1.0.0' }
    input:
      schema: { format: json, resource: { endpoint: 'https://schemas.example/order.json' } }
    do:
      - only: { set: { a: 1 } }
    """
    And the host 'https://schemas.example' answers:
    """yaml
    - { on: GET /order.json, status: 200, body: { type: object, required: [ id ] } }
    """
    When the workflow is executed
    Then the workflow should fault with the standard error 'validation' and status 400

  @E5
  Scenario: Basic and bearer credentials travel in the header, named or inline
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: signs, version: '1.0.0' }
    use:
      secrets: [ shop ]
      authentications:
        named: { basic: { username: ada, password: '${ $secrets.shop.password }' } }
    do:
      - first: { call: http, with: { method: get, endpoint: { uri: 'https://one.example/a', authentication: { use: named } } } }
      - second: { call: http, with: { method: get, endpoint: { uri: 'https://two.example/b', authentication: { bearer: { token: '${ $secrets.shop.token }' } } } } }
    """
    And the secret 'shop' is:
    """yaml
    password: s3cret-one
    token: s3cret-two
    """
    And the host 'https://one.example' answers:
    """yaml
    - { on: GET /a, status: 200, body: 1 }
    """
    And the host 'https://two.example' answers:
    """yaml
    - { on: GET /b, status: 200, body: 2 }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    2
    """
    And 'https://one.example' should have been asked with headers:
    """yaml
    authorization: Basic YWRhOnMzY3JldC1vbmU=
    """
    And 'https://two.example' should have been asked with headers:
    """yaml
    authorization: Bearer s3cret-two
    """
    And nothing that is kept should contain 's3cret'

  @E5
  Scenario: A whole policy can be a secret
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: signs, version: '1.0.0' }
    use: { secrets: [ shop ] }
    do:
      - ask: { call: http, with: { method: get, endpoint: { uri: 'https://one.example/a', authentication: { basic: { use: shop } } } } }
    """
    And the secret 'shop' is:
    """yaml
    username: ada
    password: s3cret-one
    """
    And the host 'https://one.example' answers:
    """yaml
    - { on: GET /a, status: 200, body: 1 }
    """
    When the workflow is executed
    Then the workflow should complete
    And 'https://one.example' should have been asked with headers:
    """yaml
    authorization: Basic YWRhOnMzY3JldC1vbmU=
    """

  @E5
  Scenario: A policy that use does not name is refused
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: signs, version: '1.0.0' }
    use: { authentications: { shop: { basic: { username: a, password: b } } } }
    do:
      - ask:
          call: http
          with:
            method: get
            endpoint: { uri: 'https://one.example', authentication: { use: shopp } }
    """
    When the workflow is validated
    Then the workflow should be refused at line 8
    And the finding should propose 'shop'

  @E6
  Scenario: An OAuth2 token is asked for and sent
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: signs, version: '1.0.0' }
    use: { secrets: [ client ] }
    do:
      - ask:
          call: http
          with:
            method: get
            endpoint:
              uri: https://one.example/a
              authentication:
                oauth2:
                  authority: https://login.example
                  endpoints: { token: /token }
                  grant: client_credentials
                  client: { id: perdure, secret: '${ $secrets.client }' }
                  scopes: [ read, write ]
    """
    And the secret 'client' is:
    """yaml
    s3cret-client
    """
    And the host 'https://login.example' answers:
    """yaml
    - { on: POST /token, status: 200, body: { access_token: s3cret-token, token_type: Bearer, expires_in: 3600 } }
    """
    And the host 'https://one.example' answers:
    """yaml
    - { on: GET /a, status: 200, body: 1 }
    """
    When the workflow is executed
    Then the workflow should complete
    And 'https://one.example' should have been asked with headers:
    """yaml
    authorization: Bearer s3cret-token
    """
    And 'https://login.example' should have been asked with a form:
    """yaml
    grant_type: client_credentials
    client_id: perdure
    client_secret: s3cret-client
    scope: read write
    """
    And nothing that is kept should contain 's3cret'

  @T29 @E6 @naive
  Scenario: A token request that fails is an authentication error, not a communication error
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: signs, version: '1.0.0' }
    do:
      - ask:
          call: http
          with:
            method: get
            endpoint:
              uri: https://one.example/a
              authentication:
                oauth2:
                  authority: https://login.example
                  endpoints: { token: /token }
                  grant: client_credentials
                  client: { id: perdure, secret: wrong }
    """
    And the host 'https://login.example' answers:
    """yaml
    - { on: POST /token, status: 400, body: { error: invalid_client } }
    """
    And the host 'https://one.example' answers:
    """yaml
    - { on: GET /a, status: 200, body: 1 }
    """
    When the workflow is executed
    Then the workflow should fault with the standard error 'authentication' and status 401
    And 'https://one.example' should have been asked 0 times

  @E6 @further-password @perdure
  Scenario: The password grant works and is worth a remark
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: acme, name: signs, version: '1.0.0' }
    do:
      - ask:
          call: http
          with:
            method: get
            endpoint:
              uri: https://one.example/a
              authentication:
                oauth2:
                  authority: https://login.example
                  grant: password
                  client: { id: perdure }
                  username: ada
                  password: lovelace
    """
    When the workflow is validated
    Then the workflow should be accepted with a remark at line 12
