"""The two ceremonies of a passkey: making one and showing that one has it (W3C Web Authentication Level 3).

Nothing is kept between the two halves of a ceremony: the challenge travels sealed, in a cookie, and is good for five
minutes and for one use. What an authenticator says is checked here; what it changes stands in `passkeys.py`.
"""

import hashlib
import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec
from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import (
    parse_attestation_object,
    parse_authentication_credential_json,
    parse_client_data_json,
    parse_registration_credential_json,
)
from webauthn.helpers.cose import COSEAlgorithmIdentifier
from webauthn.helpers.structs import (
    AttestationConveyancePreference,
    AttestationFormat,
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from accredit.canonical import base64url, from_base64url
from accredit.clock import Clock
from accredit.errors import Error, NotAuthenticated
from accredit.keys.seal import Sealer
from accredit.people.model import Passkey, Person
from accredit.storage.writer import Once

CEREMONY_SECONDS = 300
ALGORITHMS = [
    COSEAlgorithmIdentifier.EDDSA,
    COSEAlgorithmIdentifier.ECDSA_SHA_256,
    # Windows Hello makes no other where its chip is old.
    COSEAlgorithmIdentifier.RSASSA_PKCS1_v1_5_SHA_256,
]

_CHALLENGE_BYTES = 32
_RESPONSE_LIMIT = 12_288
_SEALED_MIN, _SEALED_MAX = 29, 512
_CREDENTIAL_ID_BYTES = 1_023  # Web Authentication §4: a credential id is at most that long
_NAME = "Accredit"
# We ask for no attestation, so an answer has none, or one signed by the new key itself (§8.2, self attestation).
_FORMATS = (AttestationFormat.NONE, AttestationFormat.PACKED)

T = TypeVar("T")


class PasskeyRefused(NotAuthenticated):
    """The passkey did not prove what it had to; which check failed stands in the log only."""

    code = "passkey_refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceremony:
    """The first half: `options` for the browser (JSON), and the challenge, `sealed`, for its cookie."""

    options: str
    sealed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCredential:
    """What a new passkey brought. `once` must be used up in the transaction that keeps it."""

    id: str
    public_key: bytes
    sign_count: int
    once: Once


@dataclass(frozen=True, slots=True, kw_only=True)
class Assertion:
    """What was read of an answer, before anything of it was checked."""

    credential_id: str
    user_handle: bytes | None
    response: str


class _Challenge(msgspec.Struct, frozen=True, array_like=True):
    challenge: bytes
    expires_at: float


class RelyingParty:
    """We, as an authenticator knows us: the host of the issuer, reached at its origin and nowhere else."""

    def __init__(self, issuer: str, sealer: Sealer, clock: Clock) -> None:
        parts = urlsplit(issuer)
        self._id = parts.hostname or ""
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._sealer = sealer
        self._clock = clock

    def begin_registration(self, person: Person, known: Sequence[Passkey], bound_to: str) -> Ceremony:
        """Ask for a passkey that finds its person by itself, verifies them, and is not one of those `known`.

        Only `bound_to`, a session's id, can complete it.
        """
        challenge = secrets.token_bytes(_CHALLENGE_BYTES)
        options = generate_registration_options(
            rp_id=self._id,
            rp_name=_NAME,
            user_id=person.id.encode(),
            user_name=person.email,
            user_display_name=person.name or person.email,
            challenge=challenge,
            timeout=CEREMONY_SECONDS * 1000,
            attestation=AttestationConveyancePreference.NONE,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED,
                require_resident_key=True,
                user_verification=UserVerificationRequirement.REQUIRED,
            ),
            exclude_credentials=[PublicKeyCredentialDescriptor(id=from_base64url(one.id)) for one in known],
            supported_pub_key_algs=ALGORITHMS,
        )
        return Ceremony(options=options_to_json(options), sealed=self._seal(challenge, f"register/{bound_to}"))

    def begin_authentication(self) -> Ceremony:
        """Ask whoever is there for any passkey of ours."""
        challenge = secrets.token_bytes(_CHALLENGE_BYTES)
        options = generate_authentication_options(
            rp_id=self._id,
            challenge=challenge,
            timeout=CEREMONY_SECONDS * 1000,
            user_verification=UserVerificationRequirement.REQUIRED,
        )
        return Ceremony(options=options_to_json(options), sealed=self._seal(challenge, "authenticate"))

    def check_registration(self, response: str, sealed: str, bound_to: str) -> NewCredential:
        """Check the browser's answer (§7.1). Slow: not for the event loop. Raises PasskeyRefused."""
        challenge = self._open(sealed, f"register/{bound_to}")

        def verify() -> NewCredential:
            credential = parse_registration_credential_json(_bounded(response))
            _check_not_framed(credential.response.client_data_json)
            if parse_attestation_object(credential.response.attestation_object).fmt not in _FORMATS:
                raise ValueError("attestation was not asked for")
            verified = verify_registration_response(
                credential=credential,
                expected_challenge=challenge.challenge,
                expected_rp_id=self._id,
                expected_origin=self._origin,
                require_user_verification=True,
                supported_pub_key_algs=ALGORITHMS,
            )
            # The id that the browser reports is not signed; the one in the authenticator's data is what counts.
            if verified.credential_id != credential.raw_id or len(verified.credential_id) > _CREDENTIAL_ID_BYTES:
                raise ValueError("the credential has two ids, or too long a one")
            return NewCredential(
                id=base64url(verified.credential_id),
                public_key=verified.credential_public_key,
                sign_count=verified.sign_count,
                once=_once(challenge),
            )

        return _refusing(verify)

    def read_assertion(self, response: str) -> Assertion:
        """Read who an answer claims to be of. Nothing is checked yet. Raises PasskeyRefused."""

        def read() -> Assertion:
            credential = parse_authentication_credential_json(_bounded(response))
            return Assertion(
                credential_id=base64url(credential.raw_id),
                user_handle=credential.response.user_handle,
                response=response,
            )

        return _refusing(read)

    def check_assertion(self, assertion: Assertion, passkey: Passkey, sealed: str) -> tuple[int, Once]:
        """Check the browser's answer (§7.2) with the passkey that it names; returns its counter.

        The counter is for the caller to compare, where it is stored: only then is its fall told by the key itself.
        Slow: not for the event loop. Raises PasskeyRefused.
        """
        challenge = self._open(sealed, "authenticate")

        def verify() -> tuple[int, Once]:
            # §7.2 step 6: without a name typed first, the handle says who it is, and it must be the passkey's person.
            if assertion.user_handle != passkey.person.encode():
                raise ValueError("the user handle is another person's")
            credential = parse_authentication_credential_json(assertion.response)
            _check_not_framed(credential.response.client_data_json)
            verified = verify_authentication_response(
                credential=credential,
                expected_challenge=challenge.challenge,
                expected_rp_id=self._id,
                expected_origin=self._origin,
                credential_public_key=passkey.public_key,
                credential_current_sign_count=0,
                require_user_verification=True,
            )
            return verified.new_sign_count, _once(challenge)

        return _refusing(verify)

    def _seal(self, challenge: bytes, purpose: str) -> str:
        plain = msgspec.msgpack.encode(_Challenge(challenge, self._clock.seconds() + CEREMONY_SECONDS))
        return base64url(self._sealer.seal(plain, f"passkey/{purpose}"))

    def _open(self, sealed: str, purpose: str) -> _Challenge:
        try:
            raw = from_base64url(sealed[:_SEALED_MAX])
            plain = self._sealer.open(raw.ljust(_SEALED_MIN, b"\0"), f"passkey/{purpose}")
        except Error as error:
            raise _refused("the challenge is not ours, or of another purpose") from error
        challenge = msgspec.msgpack.decode(plain, type=_Challenge)
        if self._clock.seconds() >= challenge.expires_at:
            raise _refused("the challenge is too old")
        return challenge


def _refusing(verify: Callable[[], T]) -> T:
    try:
        return verify()
    except Exception as error:  # the library raises whatever its parsers raise, and each means no
        raise _refused(f"{type(error).__name__}: {error}") from error


def _refused(detail: str) -> PasskeyRefused:
    return PasskeyRefused(
        "this passkey was not accepted", next_step="try again from the page, within five minutes", detail=detail[:200]
    )


def _bounded(response: str) -> str:
    if len(response) > _RESPONSE_LIMIT:
        raise ValueError("too long")
    return response


def _check_not_framed(client_data: bytes) -> None:
    """§7.1 step 10, §7.2 step 14: no page of ours is shown in a frame of somebody else's."""
    framed = parse_client_data_json(client_data).cross_origin or "topOrigin" in json.loads(client_data)
    if framed:
        raise ValueError("made in a frame of another origin")


def _once(challenge: _Challenge) -> Once:
    key = hashlib.sha256(b"accredit.passkey.challenge.v1\0" + challenge.challenge).digest()
    return Once(key, challenge.expires_at)
