"""A person's own page: who they are here, where they are signed in, and their passkeys."""

from dataclasses import dataclass

from starlette.responses import RedirectResponse, Response

from accredit.console.devices import device_of
from accredit.console.session import RECENT_SECONDS, check_csrf, check_same_origin, is_recent, read_form
from accredit.console.site import Site, Visit
from accredit.people.model import Session
from accredit.people.passkeys import NAME_LIMIT, PASSKEYS_A_PERSON

ACCOUNT = "/console/account"

_SEE_OTHER = 303
_PROVIDERS = {"oidc": "OpenID Connect", "saml": "SAML"}
_DONE = {
    "added": "The passkey was added. You can sign in with it from now on.",
    "renamed": "The passkey was renamed.",
    "removed": "The passkey was removed. It signs nobody in any more.",
    "ended": "The session was ended.",
    "others": "All other sessions were ended.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSession:
    """A session in words. Times are seconds since 1970."""

    id: str
    this: bool
    device: str
    how: str
    created_at: float
    last_seen_at: float


async def account(site: Site, visit: Visit) -> Response:
    """The page of whoever is signed in."""
    session = visit.session
    passkeys = await site.passkeys.list(session.person)
    return await site.page(
        visit,
        "account.html",
        passkeys=passkeys,
        passkey_limit=PASSKEYS_A_PERSON,
        room=len(passkeys) < PASSKEYS_A_PERSON,
        name_limit=NAME_LIMIT,
        new_name=device_of(session.user_agent),
        recent=is_recent(session, RECENT_SECONDS, site.clock.seconds()),
        sessions=_shown(await site.sessions.list(session.person), session),
        done=next((words for name, words in _DONE.items() if name in visit.request.query_params), None),
    )


async def end_session(site: Site, visit: Visit) -> Response:
    """End one of one's own sessions. Raises NotPermitted, InputRefused, NotFound, Unavailable."""
    form = await _read(site, visit)
    await site.sessions.end_by_id(visit.session.person, form.get("session", ""))
    return _back("ended")


async def end_other_sessions(site: Site, visit: Visit) -> Response:
    """End all of one's own sessions but this one. Raises NotPermitted, InputRefused, Unavailable."""
    await _read(site, visit)
    await site.sessions.end_others(visit.session)
    return _back("others")


async def _read(site: Site, visit: Visit) -> dict[str, str]:
    check_same_origin(visit.request, site.origin)
    form = await read_form(visit.request)
    check_csrf(form, visit.cookie_token)
    return form


def _back(done: str) -> Response:
    return RedirectResponse(f"{ACCOUNT}?{done}", status_code=_SEE_OTHER)


def _shown(sessions: tuple[Session, ...], own: Session) -> list[ShownSession]:
    """This session first, the others as they were last used."""
    shown = [
        ShownSession(
            id=one.id,
            this=one.id == own.id,
            device=device_of(one.user_agent),
            how=_how(one.authentication),
            created_at=one.created_at,
            last_seen_at=one.last_seen_at,
        )
        for one in sessions
    ]
    return sorted(shown, key=lambda one: not one.this)


def _how(authentication: str) -> str:
    """How a person signed in, in words."""
    kind, _, name = authentication.partition(":")
    match kind:
        case "passkey":
            return "a passkey"
        case "sign_in_link":
            return "a one-time link"
        case "oidc" | "saml":
            return f"{name} ({_PROVIDERS[kind]})"
        case _:
            return kind.replace("_", " ")
