"""What a person says of an agent that is to be registered, and what is taken of it."""

import re
import unicodedata
from dataclasses import dataclass

from accredit.agents.client_metadata import ClientMetadata
from accredit.errors import InputRefused

NAME = re.compile(r"[^\x00-\x1f\x7f\s/?#](?:[^\x00-\x1f\x7f/?#]{0,62}[^\x00-\x1f\x7f\s/?#])?\Z")
# Control and format characters, which turn text around or hide it; surrogates, separators, unassigned.
_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
TYPE = re.compile(r"[a-z][a-z0-9-]{0,31}\Z")
MAX_CAPABILITY_LEVEL = 4
MAX_SESSION_SECONDS = 315_360_000
MAX_ACTORS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAgent:
    """What a person says of an agent that is to be registered.

    `max_session_seconds` of None is the installation's; `may_act` are ids or names; the rest is as in `Agent`.
    """

    name: str
    owner: str
    type: str = "service"
    roles: tuple[str, ...] = ()
    systems: tuple[str, ...] = ()
    capability_level: int = 2
    max_session_seconds: int | None = None
    may_act: tuple[str, ...] = ()
    client: ClientMetadata | None = None
    client_url: str | None = None


def check_new_agent(new: NewAgent) -> None:
    """Raises InputRefused for what no agent can be called or be."""
    hidden = any(unicodedata.category(char) in _HIDDEN for char in new.name)
    if hidden or not NAME.match(new.name) or new.name.startswith("agt_") or new.name in (".", ".."):
        raise InputRefused(
            "name must be 1 to 64 characters, without control characters, / ? and #; not `.`, `..` or agt_…",
            next_step="choose a name such as lead-scout",
        )
    # A principal of this type is a person, with a person's rights (policy/people.py).
    if not TYPE.match(new.type) or new.type == "person":
        raise InputRefused(
            "type must be a word of a-z, 0-9 and -, such as service or worker", next_step="leave it out for service"
        )
    if not 0 <= new.capability_level <= MAX_CAPABILITY_LEVEL:
        raise InputRefused("capability_level must be 0 to 4", next_step="leave it out for 2")
    if new.max_session_seconds is not None and not 1 <= new.max_session_seconds <= MAX_SESSION_SECONDS:
        raise InputRefused("max_session_seconds must be 1 second to 10 years", next_step="leave it out")
    if len(new.may_act) > MAX_ACTORS:
        raise InputRefused(f"may_act names more than {MAX_ACTORS} agents", next_step="name fewer")
