"""OAuth errors: one class a registered code, and their form on the wire (RFC 6749 §5.2, RFC 8707 §2)."""

from typing import ClassVar

import msgspec

from accredit.errors import Error
from accredit.storage.writer import Once


class OAuthError(Error):
    """An answer of the token endpoint that is no token. `once` is what proved the client: the refusal spends it."""

    once: tuple[Once, ...] = ()

    code = "invalid_request"
    status: ClassVar[int] = 400
    # False for what an honest client meets again and again on its way: recording it would fill the log.
    is_recorded: ClassVar[bool] = True


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


class InvalidGrant(OAuthError):
    """What is to be changed into a token is unknown, used, expired, ended, or somebody else's."""

    code = "invalid_grant"


class AccessDenied(OAuthError):
    """A person, or policy for them, said no."""

    code = "access_denied"


class AuthorizationPending(OAuthError):
    """The person has not answered yet (RFC 8628 §3.5)."""

    code = "authorization_pending"
    is_recorded = False


class SlowDown(OAuthError):
    """The client asks too often (RFC 8628 §3.5)."""

    code = "slow_down"
    is_recorded = False


class ExpiredToken(OAuthError):
    """The request was not answered in time (RFC 8628 §3.5)."""

    code = "expired_token"


class InvalidBindingMessage(OAuthError):
    """The message for the person is too long or cannot be shown (CIBA §13)."""

    code = "invalid_binding_message"


class InvalidAuthorizationDetails(OAuthError):
    """The `authorization_details` are malformed, or not open to the client (RFC 9396 §5)."""

    code = "invalid_authorization_details"


class InvalidDpopProof(OAuthError):
    """The DPoP proof does not hold (RFC 9449 §5)."""

    code = "invalid_dpop_proof"


class UseDpopNonce(OAuthError):
    """The DPoP proof needs a nonce of ours, which the answer carries (RFC 9449 §8)."""

    code = "use_dpop_nonce"
    is_recorded = False


class UnsupportedResponseType(OAuthError):
    """The response type, or its mode, is not one that is answered with here (RFC 6749 §4.1.2.1)."""

    code = "unsupported_response_type"


class RequestNotSupported(OAuthError):
    """Request objects are not read (OpenID Connect Core §6.1)."""

    code = "request_not_supported"


class InvalidRequestUri(OAuthError):
    """The `request_uri` is not one that was pushed here, or it was used, or is too old (RFC 9126 §4)."""

    code = "invalid_request_uri"


class LoginRequired(OAuthError):
    """The person would have to sign in, and must not be asked (OpenID Connect Core §3.1.2.6)."""

    code = "login_required"


class ConsentRequired(OAuthError):
    """The person would have to consent, and must not be asked (OpenID Connect Core §3.1.2.6)."""

    code = "consent_required"


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


def error_members(error: OAuthError) -> dict[str, str]:
    """The parameters of an error that is sent through the browser (RFC 6749 §4.1.2.1)."""
    words = f"{error.explanation}; {error.next_step}" if error.next_step else error.explanation
    return {"error": error.code, "error_description": _description(words)}


def _description(text: str) -> str:
    return "".join(char if " " <= char <= "~" and char not in '"\\' else "'" for char in text)
