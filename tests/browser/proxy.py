"""A reverse proxy that adds a path prefix and does not buffer responses."""

import http.client
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PREFIX = "/some/prefix"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if not self.path.startswith(f"{PREFIX}/"):
            return self.send_error(404)
        upstream = http.client.HTTPConnection(self.server.upstream)
        upstream.request("GET", self.path.removeprefix(PREFIX), headers=dict(self.headers))
        response = upstream.getresponse()
        self.send_response(response.status)
        for name, value in response.getheaders():
            if name.lower() not in ("connection", "date", "transfer-encoding"):
                self.send_header(name, value)
        self.end_headers()
        try:
            while piece := response.read1():
                self.wfile.write(piece)
        except OSError:
            pass  # The browser has disconnected.
        finally:
            upstream.close()

    def log_message(self, *_):
        pass


@contextmanager
def prefixed(address):
    """Runs the proxy and returns its URL for the webui at this address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        server.upstream = address
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}{PREFIX}/"
        finally:
            server.shutdown()
