"""Who may manage: the one who holds the management token, which stands for the local administrator."""

import hashlib
import hmac

from accredit.audit.event import Actor
from accredit.errors import NotAuthenticated
from accredit.ids import PersonId
from accredit.sensitive import Sensitive
from accredit.web.asgi import Headers
from accredit.web.bearer import bearer_token

METHOD = "management_token"


class ManagementToken:
    """Compares bearer tokens with the one of `management.json`, in constant time."""

    def __init__(self, token: Sensitive, administrator: PersonId) -> None:
        self._digest = _digest(token.reveal())
        self._actor = Actor(person=administrator, authentication=METHOD)

    def authenticate(self, headers: Headers) -> Actor:
        """The administrator. Raises NotAuthenticated."""
        # Digests are of one length, so that the comparison does not tell how long the token is.
        if not hmac.compare_digest(_digest(bearer_token(headers)), self._digest):
            raise NotAuthenticated(
                "the management token is not valid",
                next_step="read it again from management.json in the data folder: each start writes a new one",
            )
        return self._actor


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
