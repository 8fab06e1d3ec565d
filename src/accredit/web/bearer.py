"""The Authorization header → Caller (RFC 6750 §2.1), and the challenge for those who fail (§3, RFC 9728 §5.1)."""

from accredit.tokens.model import Caller
from accredit.tokens.verify import InvalidToken, NoToken, Verifier

Headers = list[tuple[bytes, bytes]]


class Bearer:
    """Authenticates requests. A token in the query or the body is not looked at (RFC 9700 §4.3.2)."""

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier

    async def authenticate(self, headers: Headers, audience: str) -> Caller:
        """The caller of a request for one audience. Raises NoToken, InvalidToken, Unavailable."""
        return await self._verifier.verify(bearer_token(headers), audience)


def bearer_token(headers: Headers) -> str:
    """The token of the one Authorization header. Raises NoToken, InvalidToken."""
    values = [value for name, value in headers if name == b"authorization"]
    if not values:
        raise NoToken("the request holds no access token", next_step="send Authorization: Bearer and the token")
    if len(values) > 1:
        raise InvalidToken("the request holds two Authorization headers", next_step="send one")
    scheme, _, token = values[0].partition(b" ")
    if scheme.lower() != b"bearer":
        raise NoToken("the Authorization scheme is not Bearer", next_step="send Authorization: Bearer and the token")
    return token.strip().decode("latin-1")


def challenge(error: InvalidToken, resource_metadata: str) -> str:
    """The WWW-Authenticate value of a 401."""
    parts = [] if isinstance(error, NoToken) else ['error="invalid_token"', f'error_description="{error.explanation}"']
    return "Bearer " + ", ".join([*parts, f'resource_metadata="{resource_metadata}"'])


def scope_challenge(scope: str, resource_metadata: str) -> str:
    """The WWW-Authenticate value of a 403 for a token that lacks a scope (RFC 6750 §3.1)."""
    description = "the token lacks a scope that this call needs"
    parts = ('error="insufficient_scope"', f'scope="{scope}"', f'error_description="{description}"')
    return "Bearer " + ", ".join([*parts, f'resource_metadata="{resource_metadata}"'])
