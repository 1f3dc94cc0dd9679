"""One trace from a request, through the run it starts, to the call that the run makes and what hears it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.servers.platform import platform

DOCUMENT = """\
document: {{dsl: 1.0.3, namespace: test, name: traced, version: 1.0.0}}
do:
  - tell: {{call: http, with: {{method: post, endpoint: "http://127.0.0.1:{port}/told", body: {{a: 1}}}}}}
"""
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@contextmanager
def heard() -> Iterator[tuple[int, dict[str, list]]]:
    """A collector, and a service that a run calls: what each was sent."""
    sent: dict[str, list] = {"/v1/traces": [], "/told": []}

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            sent[self.path].append((dict(self.headers), body))
            self.send_response(200)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *arguments: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1], sent
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_one_trace(tmp_path):
    with heard() as (port, sent):
        settings = {"otlp_endpoint": f"http://127.0.0.1:{port}", "egress_allow": f"127.0.0.1:{port}"}
        with platform(tmp_path, log_level="warning", **settings) as served:
            headers = {"content-type": "application/yaml"}
            text = DOCUMENT.format(port=port).encode()
            assert served.ask("POST", "/api/v1/workflows", body=text, headers=headers).status == 201
            executed = served.ask(
                "POST", "/api/v1/workflows/execute", json={"workflow": "test.traced", "wait": 20},
                headers={"traceparent": f"00-{TRACE}-{PARENT}-01"},
            )  # fmt: skip
            assert executed.json["ended"] and executed.json["run"]["status"] == "completed", executed
        spans = [
            span
            for _, body in sent["/v1/traces"]
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
    ours = {span.name: span for span in spans if span.trace_id.hex() == TRACE}
    assert set(ours) == {"POST", "start run", "call http"}
    assert ours["POST"].parent_span_id.hex() == PARENT
    assert ours["start run"].parent_span_id == ours["POST"].span_id
    assert ours["call http"].parent_span_id == ours["start run"].span_id
    [(told, _)] = sent["/told"]
    given = {name.lower(): value for name, value in told.items()}["traceparent"]
    assert given.split("-")[1:3] == [TRACE, ours["call http"].span_id.hex()]
