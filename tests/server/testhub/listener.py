"""Sockets: a threading HTTP/1.1 server for each host."""

import email.utils
import http.client
import itertools
import socket
import socketserver
import ssl
import struct
import sys
import traceback
from http.server import BaseHTTPRequestHandler

from .control import control
from .errors import HubError
from .exchange import Exchange, perform
from .message import Request, error_response
from .sending import BodySender

BODY_LIMIT = 16 << 20


class Listener(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 256
    connection_numbers = itertools.count(1)    # shared by both hosts

    def __init__(self, address, host, hub, tls=None):
        self.host = host
        self.hub = hub
        self.tls = tls
        super().__init__((address, 0), Handler)
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://{address}:{self.server_address[1]}"

    def get_request(self):
        connection, address = super().get_request()
        if self.tls:    # the handshake happens in the thread of the connection
            connection = self.tls.wrap_socket(connection, server_side=True,
                                              do_handshake_on_connect=False)
        return connection, address

    def handle_error(self, request, client_address):
        problem = sys.exc_info()[1]
        # Clients that leave in mid-transfer are what many tests are about.
        if not isinstance(problem, (ConnectionError, TimeoutError, ssl.SSLError)):
            traceback.print_exc(file=sys.stderr)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self):
        super().setup()
        self.number = next(Listener.connection_numbers)

    def serve(self):
        body = self.read_body()
        if body is None:
            return
        request = Request(self.server.host, self.command, self.path, self.headers, body)
        hub = self.server.hub
        if request.host == "hub" and request.segments[0] == "_test":
            self.reply(request, self.steer(hub, request), BodySender(self.connection,
                                                                    hub.stopping))
            return
        record = hub.log.begin(request, self.number)
        sender = BodySender(self.connection, hub.stopping)
        try:
            exchange = perform(hub, request)
            record["faults"] = exchange.faults
            record["status"] = exchange.response.status or None
            self.reply(request, exchange, sender)
        finally:
            record["bytes"] = sender.sent
            hub.log.end(record)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = serve

    def steer(self, hub, request):
        try:
            response = control(hub, request)
        except HubError as error:
            response = error_response(error)
        response.headers["Content-Length"] = str(response.body.length)
        return Exchange(response)

    def read_body(self):
        """The request body, or None after refusing it."""
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdecimal():
            self.send_error(411)
            return None
        if int(length) > BODY_LIMIT:
            self.send_error(413)
            return None
        return self.rfile.read(int(length))

    def reply(self, request, exchange, sender):
        if exchange.hang_up:
            self.hang_up(exchange.reset)
            return
        response = exchange.response
        sender.send_head(self.head(response), exchange.drip)
        if request.method == "HEAD" or response.status in (204, 304):
            return
        if not sender.send(response.body, exchange.body_rule):
            self.hang_up(exchange.reset)

    def head(self, response):
        phrase = http.client.responses.get(response.status, "Unknown")
        lines = [f"HTTP/1.1 {response.status} {phrase}",
                 f"Date: {email.utils.formatdate(usegmt=True)}"]
        lines += [f"{name}: {one_line(value)}" for name, value in response.headers.items()]
        if response.headers.get("Connection") == "close":
            self.close_connection = True
        elif self.close_connection:
            lines.append("Connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")

    def hang_up(self, reset=False):
        self.close_connection = True
        try:
            if reset:    # with nothing to wait for, closing sends RST in place of FIN
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                           struct.pack("ii", 1, 0))
                self.connection.close()
                return
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass    # the client was faster

    def log_message(self, format, *args):
        """The request log replaces the lines of http.server."""


def one_line(value):
    """Paths and revisions are echoed in headers, and may hold line breaks."""
    return "".join(c if c >= " " and c != "\x7f" else "?" for c in str(value))
