"""OAuth errors: one class a registered code, and their form on the wire (RFC 6749 §5.2, RFC 8707 §2)."""

from typing import ClassVar

import msgspec

from accredit.errors import Error


class OAuthError(Error):
    """An answer of the token endpoint that is no token."""

    code = "invalid_request"
    status: ClassVar[int] = 400


class InvalidRequest(OAuthError):
    """A parameter is missing, repeated or malformed."""


class InvalidClient(OAuthError):
    """Client authentication failed; the words are the same for every reason."""

    code = "invalid_client"
    status = 401


class InvalidScope(OAuthError):
    """No scope that was asked for is open to the client."""

    code = "invalid_scope"


class InvalidTarget(OAuthError):
    """The resource is unknown (RFC 8707 §2)."""

    code = "invalid_target"


class UnauthorizedClient(OAuthError):
    """The client is known and may not have this token."""

    code = "unauthorized_client"


class UnsupportedGrantType(OAuthError):
    """There is no such grant here."""

    code = "unsupported_grant_type"


class TemporarilyUnavailable(OAuthError):
    """A part that is needed does not answer; nothing was issued."""

    code = "temporarily_unavailable"
    status = 503


def render_error(error: OAuthError) -> bytes:
    """The JSON body. `error_description` is ASCII without quotes and backslashes, as RFC 6749 §5.2 demands."""
    body: dict[str, str | int | None] = {
        "error": error.code,
        "error_description": _description(error.explanation),
        "event": error.event,
    }
    if error.next_step:
        body["next_step"] = _description(error.next_step)
    return msgspec.json.encode(body)


def _description(text: str) -> str:
    return "".join(char if " " <= char <= "~" and char not in '"\\' else "'" for char in text)
