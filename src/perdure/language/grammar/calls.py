"""The shapes of what calls take in `with` (language.md B2-B7)."""

from perdure.language.grammar.kinds import (
    ENDPOINT,
    POLICY,
    Choice,
    Duration,
    Either,
    Entries,
    Field,
    Flag,
    Items,
    Object,
    Shape,
    Template,
    Text,
    TextValue,
    Whole,
    Wrapped,
)
from perdure.language.grammar.security import TEXT

_VALUES = Either(text=Wrapped(), object=Entries(TextValue()))
_OUTPUT = Field(Choice(("content", "raw", "response")), "What becomes the output; content by default.", "B2, B26")
_REDIRECT = Field(Flag(), "Whether a 3xx response is a result and no error; false by default.", "B2, T29")

PROTOCOLS = (
    "amqp", "amqp1", "anypointmq", "googlepubsub", "http", "ibmmq", "jms", "kafka", "mercure", "mqtt", "mqtt5", "nats",
    "pulsar", "redis", "sns", "solace", "sqs", "stomp", "ws",
)  # fmt: skip
A2A_METHODS = (
    "message/send",
    "message/stream",
    "tasks/get",
    "tasks/list",
    "tasks/cancel",
    "tasks/resubscribe",
    "tasks/pushNotificationConfig/set",
    "tasks/pushNotificationConfig/get",
    "tasks/pushNotificationConfig/list",
    "tasks/pushNotificationConfig/delete",
    "agent/getAuthenticatedExtendedCard",
)
MCP_METHODS = (
    "tools/list",
    "tools/call",
    "prompts/list",
    "prompts/get",
    "resources/list",
    "resources/read",
    "resources/templates/list",
)

CALL_SHAPES: dict[str, Shape] = {
    "call-http": Shape(
        "An HTTP request.",
        {
            "method": Field(TEXT, "The method, in any case.", "B2", required=True),
            "endpoint": Field(ENDPOINT, "The address.", "B2", required=True),
            "headers": Field(_VALUES, "The headers: texts, or one expression.", "B2"),
            "query": Field(_VALUES, "The query parameters: texts, or one expression.", "B2"),
            "body": Field(Template(), "The body.", "B2"),
            "output": _OUTPUT,
            "redirect": _REDIRECT,
        },
    ),
    "call-openapi": Shape(
        "An operation of an OpenAPI document (Swagger 2.0, OpenAPI 3.x).",
        {
            "document": Field(Object("resource"), "The document.", "B3", required=True),
            "operationId": Field(Text(), "The operation.", "B3", required=True),
            "parameters": Field(Template(takes=("object",)), "Its parameters.", "B3"),
            "authentication": Field(POLICY, "How to authenticate.", "B3, E5"),
            "output": _OUTPUT,
            "redirect": _REDIRECT,
        },
    ),
    "call-grpc": Shape(
        "A gRPC method.",
        {
            "proto": Field(Object("resource"), "The proto file.", "B4", required=True),
            "service": Field(Object("grpc-service"), "The service.", "B4", required=True),
            "method": Field(TEXT, "The method.", "B4", required=True),
            "arguments": Field(Template(takes=("object",)), "Its arguments.", "B4"),
        },
    ),
    "grpc-service": Shape(
        "A gRPC service.",
        {
            "name": Field(TEXT, "Its name.", "B4", required=True),
            "host": Field(
                Template(
                    takes=("text",),
                    pattern=r"[a-zA-Z0-9](?:[a-zA-Z0-9.-]{0,251}[a-zA-Z0-9])?",
                    says="a host name: letters, digits, inner hyphens and dots",
                ),
                "Its host.",
                "B4",
                required=True,
            ),
            "port": Field(Whole(0, 65535), "Its port.", "B4"),
            "authentication": Field(POLICY, "How to authenticate.", "B4, E5"),
        },
    ),
    "call-asyncapi": Shape(
        "A message to publish or a subscription, by an AsyncAPI document.",
        {
            "document": Field(Object("resource"), "The document.", "B5", required=True),
            "channel": Field(TEXT, "The channel (AsyncAPI 2.6).", "B5"),
            "operation": Field(TEXT, "The operation (AsyncAPI 3.0).", "B5"),
            "server": Field(Object("asyncapi-server"), "The server.", "B5"),
            "protocol": Field(Choice(PROTOCOLS), "The protocol by which the server is chosen.", "B5"),
            "message": Field(Object("asyncapi-message"), "The message to publish.", "B5"),
            "subscription": Field(Object("asyncapi-subscription"), "The messages to wait for.", "B5"),
            "authentication": Field(POLICY, "How to authenticate.", "B5, E5"),
        },
        one_of=(("channel", "operation"), ("message", "subscription")),
    ),
    "asyncapi-server": Shape(
        "A server of the AsyncAPI document.",
        {
            "name": Field(TEXT, "Its name.", "B5", required=True),
            "variables": Field(Template(takes=("object",)), "Its variables.", "B5"),
        },
    ),
    "asyncapi-message": Shape(
        "A message to publish.",
        {
            "payload": Field(Template(takes=("object",)), "Its payload.", "B5"),
            "headers": Field(Template(takes=("object",)), "Its headers.", "B5"),
        },
    ),
    "asyncapi-subscription": Shape(
        "The messages to wait for.",
        {
            "filter": Field(Wrapped(), "Only messages for which this holds.", "B5"),
            "consume": Field(Object("asyncapi-consume"), "How many.", "B5", required=True),
            "foreach": Field(Object("each-event"), "What to do with each message.", "B5"),
        },
    ),
    "asyncapi-consume": Shape(
        "How many messages to wait for.",
        {
            "amount": Field(Whole(1), "This many.", "B5"),
            "while": Field(Wrapped(), "While this holds; tested after a message.", "B5"),
            "until": Field(Wrapped(), "Until this holds; tested before the next.", "B5"),
            "for": Field(Duration(), "For this long at most.", "B5"),
        },
        one_of=(("amount", "while", "until"),),
    ),
    "call-a2a": Shape(
        "A request to an agent (A2A).",
        {
            "agentCard": Field(Object("resource"), "The agent's card.", "B6"),
            "server": Field(ENDPOINT, "The agent's address.", "B6"),
            "method": Field(Choice(A2A_METHODS), "The method.", "B6", required=True),
            "parameters": Field(Either(text=Wrapped(), object=Entries(Template(), minimum=1)), "Its parameters.", "B6"),
        },
        some_of=("agentCard", "server"),
    ),
    "call-mcp": Shape(
        "A request to an MCP server.",
        {
            "protocolVersion": Field(Text(), "The version of the protocol; 2025-06-18 by default.", "B7"),
            "method": Field(Choice(MCP_METHODS), "The method.", "B7", required=True),
            "parameters": Field(Either(text=Wrapped(), object=Entries(Template())), "Its parameters.", "B7"),
            "timeout": Field(Duration(), "How long the request may take.", "B7"),
            "transport": Field(Object("mcp-transport"), "How the server is reached.", "B7", required=True),
            "client": Field(Object("mcp-client"), "What we call ourselves.", "B7"),
        },
    ),
    "mcp-transport": Shape(
        "How the MCP server is reached.",
        {
            "http": Field(Object("mcp-http"), "Over HTTP.", "B7"),
            "stdio": Field(Object("mcp-stdio"), "As a process, from the administrator's list.", "B7"),
            "options": Field(Entries(TextValue()), "Options of the transport.", "B7"),
        },
        one_of=(("http", "stdio"),),
    ),
    "mcp-http": Shape(
        "An MCP server over HTTP.",
        {
            "endpoint": Field(ENDPOINT, "Its address.", "B7", required=True),
            "headers": Field(Entries(TextValue()), "Headers to send.", "B7"),
        },
    ),
    "mcp-stdio": Shape(
        "An MCP server as a process.",
        {
            "command": Field(TEXT, "The command.", "B7", required=True),
            "arguments": Field(Items(TEXT), "Its arguments.", "B7"),
            "environment": Field(Entries(TextValue()), "Environment variables.", "B7"),
        },
    ),
    "mcp-client": Shape(
        "What we call ourselves.",
        {
            "name": Field(Text(), "Our name.", "B7", required=True),
            "version": Field(Text(), "Our version.", "B7", required=True),
        },
    ),
}
