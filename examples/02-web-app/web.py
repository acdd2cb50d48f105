"""A web application: POST /orders enqueues and answers at once, GET /orders/<id> tells the result.

Where the broker is, it learns from its environment: the binding Secret, by envFrom.
"""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tasks import app, bill


class Orders(BaseHTTPRequestHandler):
    """Two routes."""

    def do_POST(self) -> None:  # http.server's name
        """Take an order."""
        order = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        result = bill.delay(order["customer"], order["cents"])
        self.answer(202, {"id": result.id})

    def do_GET(self) -> None:  # http.server's name
        """Tell an order's state, and the bill when there is one."""
        result = app.AsyncResult(self.path.removeprefix("/orders/"))
        if result.successful():
            self.answer(200, {"state": result.state, "bill": result.get()})
        else:
            self.answer(200, {"state": result.state})

    def answer(self, status: int, body: dict) -> None:
        """Send JSON."""
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


if __name__ == "__main__":
    ThreadingHTTPServer(("", 8000), Orders).serve_forever()
