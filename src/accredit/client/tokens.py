"""Tokens and where they are kept: the answer of a token endpoint (RFC 6749 §5), read strictly, and a cache for it."""

import os
import re
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import msgspec

from accredit.client.errors import (
    ApprovalRequired,
    ClientError,
    CredentialRefused,
    Denied,
    Misconfigured,
    StepUpRequired,
    Unavailable,
)
from accredit.client.steps import Answer

_OK = (200, 201)
_SERVER_ERROR = 500
_TOO_MANY = 429
_EARLY_SECONDS = 30.0
_EARLY_SHARE = 0.1
_LONGEST_SECONDS = 1e10
_DIGITS = 9
_TEXT = re.compile(r"[\x21-\x7e]{1,65536}")
_PROOF = frozenset({"invalid_client", "invalid_grant", "invalid_dpop_proof"})
_SIGN_IN = frozenset(
    {"interaction_required", "insufficient_user_authentication", "unmet_authentication_requirements", "login_required"}
)
_APPROVAL = frozenset({"approval_required", "authorization_pending"})
_LATER = frozenset({"temporarily_unavailable", "server_error", "slow_down"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """An access token and what is known of it. Printing it shows no secret.

    `expires_at` is in seconds since 1970, None if the server did not say. `scope` is what was granted, `asked` what
    was asked for ("": nothing). `issuer` and `client_id` say who gave it, and to whom.
    """

    access_token: str = field(repr=False)
    token_type: str
    expires_at: float | None = None
    renew_at: float | None = field(default=None, repr=False)
    scope: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    refresh_token: str | None = field(default=None, repr=False)
    issued_token_type: str | None = None
    issuer: str = ""
    client_id: str = ""

    def is_fresh(self) -> bool:
        """Whether it may be used without renewing it first: a tenth of its life, at most 30 seconds, is kept back."""
        return self.renew_at is None or time.time() < self.renew_at


class Store(Protocol):
    """Where the SDK keeps what must outlive the process: tokens, and the clients that it registered.

    A value is an opaque text that holds secrets: keep it like a password. Both methods are called from any thread.
    """

    def load(self, key: str) -> str | None:
        """The value last saved under a key, None if there is none."""

    def save(self, key: str, value: str | None) -> None:
        """Keep a value, durably; None removes it. Saving the same value again changes nothing."""


class MemoryStore:
    """Keeps everything until the process ends."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}

    def load(self, key: str) -> str | None:
        """See Store."""
        return self._values.get(key)

    def save(self, key: str, value: str | None) -> None:
        """See Store."""
        if value is None:
            self._values.pop(key, None)
        else:
            self._values[key] = value


class FileStore:
    """Keeps everything in one file that only its owner can read (0600).

        auth = OAuth(url, NewClient("Notes"), store=FileStore(Path.home() / ".notes-tokens"))

    It is for one process at a time: two would use one refresh token twice.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def load(self, key: str) -> str | None:
        """See Store. Raises Misconfigured if the file is not one that `save` wrote."""
        with self._lock:
            return self._read().get(key)

    def save(self, key: str, value: str | None) -> None:
        """See Store. The file is replaced as a whole, so a crash leaves the old one or the new one."""
        with self._lock:
            values = self._read()
            if value is None:
                values.pop(key, None)
            else:
                values[key] = value
            beside = self._path.with_name(f".{self._path.name}.{os.getpid()}")
            with suppress(FileNotFoundError):
                beside.unlink()
            with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(msgspec.json.encode(values))
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)

    def _read(self) -> dict[str, str]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, str])
        except FileNotFoundError:
            return {}
        except msgspec.MsgspecError as error:
            raise Misconfigured(f"{self._path} does not hold tokens", next_step="give another path") from error


def encode_token(token: Token) -> str:
    """The text that a Store keeps."""
    return msgspec.json.encode(token).decode()


def decode_token(text: str) -> Token | None:
    """What `encode_token` wrote, None if it is not that."""
    try:
        return msgspec.json.decode(text, type=Token)
    except msgspec.MsgspecError:
        return None


class _Response(msgspec.Struct, frozen=True):
    access_token: str
    token_type: str
    expires_in: float | str | None = None
    scope: str | None = None
    refresh_token: str | None = None
    issued_token_type: str | None = None


class _Refusal(msgspec.Struct, frozen=True):
    error: str = ""
    error_description: str | None = None
    next_step: str | None = None
    event: int | None = None
    acr_values: str | None = None
    max_age: int | None = None
    scope: str | None = None
    approval: str | None = None
    auth_req_id: str | None = None


def parse_token(answer: Answer, url: str, *, asked: tuple[str, ...], issuer: str, client_id: str) -> Token:
    """The token in an answer. Raises what `refusal` returns, and Unavailable if it is no answer of RFC 6749 §5."""
    if answer.status not in _OK:
        raise refusal(answer, url)
    try:
        found = msgspec.json.decode(answer.body, type=_Response)
        lifetime = None if found.expires_in is None else float(found.expires_in)
    except (msgspec.MsgspecError, ValueError) as error:
        raise _nonsense(url) from error
    # What goes into a header must not be able to end it.
    if not _TEXT.fullmatch(found.access_token) or not (lifetime is None or 0 <= lifetime <= _LONGEST_SECONDS):
        raise _nonsense(url)
    now = time.time()
    return Token(
        access_token=found.access_token,
        token_type=found.token_type,
        expires_at=None if lifetime is None else now + lifetime,
        renew_at=None if lifetime is None else now + lifetime - min(_EARLY_SECONDS, lifetime * _EARLY_SHARE),
        # RFC 6749 §5.1: no scope in the answer means that what was asked for was granted.
        scope=asked if found.scope is None else tuple(found.scope.split()),
        asked=asked,
        refresh_token=found.refresh_token,
        issued_token_type=found.issued_token_type,
        issuer=issuer,
        client_id=client_id,
    )


def refusal(answer: Answer, url: str) -> ClientError:
    """The typed error for an answer that is no success (RFC 6749 §5.2 with Accredit's `next_step` and `event`)."""
    try:
        found = msgspec.json.decode(answer.body, type=_Refusal)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        found = _Refusal()
    host = urlsplit(url).netloc
    text = found.error_description or f"{host} answered {answer.status} {found.error}".rstrip()
    step, code, event = found.next_step or "", found.error, found.event
    if answer.status >= _SERVER_ERROR or answer.status == _TOO_MANY or code in _LATER:
        after = answer.headers.get("retry-after", "")
        return Unavailable(
            text,
            next_step=step or "try again later",
            code=code,
            event=event,
            retry_after_seconds=int(after) if after.isascii() and after.isdigit() and len(after) <= _DIGITS else None,
        )
    if code in _APPROVAL:
        approval = found.approval or found.auth_req_id
        return ApprovalRequired(
            text, next_step=step or "ask a person to approve", code=code, event=event, approval=approval
        )
    if code in _SIGN_IN:
        return StepUpRequired(
            text,
            next_step=step or "let the person sign in again",
            code=code,
            event=event,
            scope=tuple((found.scope or "").split()),
            acr_values=tuple((found.acr_values or "").split()),
            max_age_seconds=found.max_age,
        )
    kind = CredentialRefused if code in _PROOF else Denied
    return kind(text, next_step=step or _advice(code), code=code, event=event)


def _advice(code: str) -> str:
    match code:
        case "invalid_client":
            return "check client_id and credential, and that the client is not suspended"
        case "invalid_grant":
            return "get a fresh assertion, or let the person sign in again"
        case "invalid_scope" | "invalid_target" | "unauthorized_client":
            return "ask whoever runs the authorization server for the right"
        case _:
            return "ask whoever runs the authorization server"


def _nonsense(url: str) -> Unavailable:
    return Unavailable(f"{urlsplit(url).netloc} answered a token request with something else than a token")
