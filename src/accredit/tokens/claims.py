"""The claims of our access tokens (RFC 9068 §2.2), as they are written and read."""

import msgspec

from accredit.delegations.model import ActionDetails
from accredit.tokens.model import Confirmation


class Act(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who acts, and behind it who acted before (RFC 8693 §4.1): only the outermost is the one that acts now."""

    sub: str
    act: "Act | None" = None


class MayAct(msgspec.Struct, frozen=True):
    """Who may act with the token (RFC 8693 §4.4)."""

    sub: str | tuple[str, ...]


class StatusList(msgspec.Struct, frozen=True):
    """A place in a token status list (draft-ietf-oauth-status-list)."""

    idx: int
    uri: str


class Status(msgspec.Struct, frozen=True):
    """The claim `status`."""

    status_list: StatusList


class AccessTokenClaims(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """RFC 9068 §2.2, and ours.

    `accredit_epoch`: the agent's revocation epoch when the token was made; `accredit_actors`: the same of earlier
    actors. `accredit_lineage`: the ids of everything whose end ends this token.
    """

    iss: str
    sub: str
    client_id: str
    aud: str
    iat: int
    exp: int
    jti: str
    scope: str
    accredit_epoch: int
    act: Act | None = None
    cnf: Confirmation | None = None
    authorization_details: tuple[ActionDetails, ...] = ()
    may_act: MayAct | None = None
    acr: str = ""
    auth_time: int | None = None
    status: Status | None = None
    accredit_delegation: str = ""
    accredit_actors: dict[str, int] = {}
    accredit_lineage: tuple[str, ...] = ()
