"""What people have let agents do, as `accredit person` and `accredit agent` show and end it."""

import msgspec

from accredit.cli.connection import connect, decode, segment
from accredit.cli.render import write_json, write_line, write_table


class _Delegation(msgspec.Struct):
    id: str
    person: str
    email: str | None
    agent: str
    agent_name: str | None
    system: str
    scopes: tuple[str, ...]
    expires_at: str


class _DelegationList(msgspec.Struct):
    delegations: list[_Delegation]


def list_delegations(path: str, *, empty: str, as_json: bool, **query: int) -> None:
    """Write those at this path of the API, the newest first; `empty` is said if there are none."""
    with connect() as api:
        answer = api.get(path, **query)
    if as_json:
        write_json(answer)
        return
    rows = [
        (
            one.id,
            one.email or one.person,
            one.agent_name or one.agent,
            one.system,
            " ".join(one.scopes),
            one.expires_at,
        )
        for one in decode(answer, _DelegationList).delegations
    ]
    write_table(("Id", "Person", "Agent", "System", "Scopes", "Until"), rows, empty=empty)


def end_delegation(path: str, delegation: str, *, as_json: bool) -> None:
    """End one of those at this path, and say so."""
    with connect() as api:
        api.delete(f"{path}/{segment(delegation)}")
    if as_json:
        write_json({"id": delegation, "ended": True})
    else:
        write_line(f"Ended {delegation}.")
