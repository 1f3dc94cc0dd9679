"""A weather service that answers every third request and refuses the others with 503. Prints its address."""

import itertools
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

WEATHER = {"Lisbon": {"sky": "clear", "degrees": 24}, "Leeds": {"sky": "rain", "degrees": 11}}


class Exchange(BaseHTTPRequestHandler):
    """GET /weather/{city}: 503 twice, then the weather; 404 for a city that it does not know."""

    numbers = itertools.count(1)

    def do_GET(self) -> None:
        city = unquote(self.path.rpartition("/")[2])
        if city not in WEATHER:
            self._reply(404, {"error": f"no weather for {city}"})
        elif (number := next(self.numbers)) % 3:
            self._reply(503, {"error": "busy"})
        else:
            self._reply(200, {"city": city, **WEATHER[city], "request": number})

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""

    def _reply(self, status: int, body: dict) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def main() -> None:
    """Serve on a free port of loopback until interrupted."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Exchange) as server:
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    sys.exit(main())
