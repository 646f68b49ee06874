"""A small web on this machine: pages by path, and what was asked."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import trustme

from tests.loopback import Handler, Loopback


@dataclass(frozen=True)
class Page:
    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    length: bool = True  # whether it says how long it is


class Web(Loopback):
    """Serves `pages`; `asked`: host and path of each request."""

    def __init__(self, pages: Mapping[str, Page], certificate: trustme.LeafCert | None = None) -> None:
        super().__init__(_Handler)
        self.pages, self.asked = dict(pages), list[str]()
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            certificate.configure_cert(context)
            self.socket = context.wrap_socket(self.socket, server_side=True)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who does not trust the certificate hangs up."""


class _Handler(Handler):
    server: Web

    def do_GET(self) -> None:
        self.server.asked.append(f"{self.headers['Host']}{self.path}")
        page = self.server.pages.get(self.path, Page(status=404))
        self.send_response(page.status)
        for name, value in page.headers.items():
            self.send_header(name, value)
        if page.length:
            self.send_header("Content-Length", str(len(page.body)))
        self.end_headers()
        self.wfile.write(page.body)
