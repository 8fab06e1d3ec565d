"""A host of client metadata documents: https on this machine, with a certificate of the test's own authority."""

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.certificates import an_authority, signed_by


@dataclass(slots=True)
class Documents:
    """`authority` is a file that whoever asks has to trust; `asked` are the paths that were asked for."""

    host: str
    authority: Path
    published: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def publish(self, name: str, **metadata: Any) -> str:
        """A client's document; its URL, which is the client_id."""
        url = f"https://{self.host}/{name}"
        self.published[f"/{name}"] = {"client_id": url, "client_name": name, **metadata}
        return url


@contextmanager
def serving(folder: Path) -> Iterator[Documents]:
    """Serve until the block ends."""
    authority = an_authority()
    usage = ExtendedKeyUsageOID.SERVER_AUTH
    pair = signed_by(authority, "localhost", x509.DNSName("localhost"), usage=usage)
    chain, trusted = folder / "documents.pem", folder / "authority.pem"
    chain.write_text(pair.pem + pair.key_pem)
    trusted.write_text(authority.pem)

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            documents.asked.append(self.path)
            found = documents.published.get(self.path)
            body = json.dumps(found).encode()
            self.send_response(404 if found is None else 200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name is the base's
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    documents = Documents(f"localhost:{server.server_port}", trusted)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield documents
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
