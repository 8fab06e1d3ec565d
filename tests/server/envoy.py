"""A real Envoy that ends TLS in front of a server, and hands the client's certificate on."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.certificates import Pair

HEADER = "client-cert"
_TYPES = "type.googleapis.com/envoy.extensions"
SOURCE = "127.0.0.2"
"""Where Envoy's own connections come from: what comes from elsewhere is no proxy's."""


def configuration(port: int, upstream: int, folder: Path) -> dict[str, Any]:
    # Any certificate is let through, as for clients that signed their own (RFC 8705 §2.2): the server checks them.
    tls = {
        "@type": f"{_TYPES}.transport_sockets.tls.v3.DownstreamTlsContext",
        "common_tls_context": {
            "tls_certificates": [
                {
                    "certificate_chain": {"filename": str(folder / "server.pem")},
                    "private_key": {"filename": str(folder / "server.key")},
                }
            ],
            "validation_context": {
                "trusted_ca": {"filename": str(folder / "authority.pem")},
                "trust_chain_verification": "ACCEPT_UNTRUSTED",
            },
        },
    }
    manager = {
        "@type": f"{_TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{_TYPES}.filters.http.router.v3.Router"},
            }
        ],
        "route_config": {
            # What the client wrote there is taken away first.
            "request_headers_to_remove": [HEADER],
            "request_headers_to_add": [
                {
                    "header": {"key": HEADER, "value": "%DOWNSTREAM_PEER_CERT%"},
                    "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
                }
            ],
            "virtual_hosts": [
                {
                    "name": "accredit",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "accredit", "timeout": "30s"}}],
                }
            ],
        },
    }
    return {
        "static_resources": {
            "listeners": [
                {
                    "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
                    "filter_chains": [
                        {
                            "transport_socket": {"name": "tls", "typed_config": tls},
                            "filters": [{"name": "http", "typed_config": manager}],
                        }
                    ],
                }
            ],
            "clusters": [
                {
                    "name": "accredit",
                    "type": "STATIC",
                    "connect_timeout": "5s",
                    "upstream_bind_config": {"source_address": {"address": SOURCE, "port_value": 0}},
                    "load_assignment": {
                        "cluster_name": "accredit",
                        "endpoints": [
                            {
                                "lb_endpoints": [
                                    {
                                        "endpoint": {
                                            "address": {
                                                "socket_address": {"address": "127.0.0.1", "port_value": upstream}
                                            }
                                        }
                                    }
                                ]
                            }
                        ],
                    },
                }
            ],
        }
    }


@contextmanager
def envoy(folder: Path, port: int, upstream: int, authority: Pair, server: Pair) -> Iterator[None]:
    """Run it until the block ends."""
    (folder / "authority.pem").write_text(authority.pem)
    (folder / "server.pem").write_text(server.pem)
    (folder / "server.key").write_text(server.key_pem)
    path = folder / "envoy.json"
    path.write_text(json.dumps(configuration(port, upstream, folder)))
    log = folder / "envoy.log"
    binary = Path(sys.executable).parent / "envoy"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(binary), "-c", str(path), "--concurrency", "1", "--disable-hot-restart", "-l", "warning"],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
    try:
        _wait(process, port, log)
        yield
    finally:
        process.kill()
        process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError(log.read_text())
