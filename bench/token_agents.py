"""Whether a token costs more where there are many agents: rows of a million, written into the database at once."""

import random
import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlencode

from accredit.agents.credentials import hash_client_secret, new_client_secret
from accredit.ids import new_id
from bench import load
from bench.minting import Minting
from bench.token_flows import FORM

FEW = 100
MANY = 1_000_000
_ROWS = 50_000
_AGENT = (
    "INSERT INTO agents (id, name, owner, type, roles, systems, capability_level, status, epoch, version, created_at) "
    "VALUES (?, ?, ?, 'worker', '[\"ai-agent-operator\"]', ?, 2, 'active', 1, 1, ?)"
)
_CREDENTIAL = "INSERT INTO credentials (id, agent, kind, secret_hash, created_at) VALUES (?, ?, 'client_secret', ?, ?)"


def register(minting: Minting, count: int, system: str) -> tuple[list[str], str]:
    """Write so many agents of the administrator, all with one secret; their ids, and the secret."""
    secret = new_client_secret()
    hashed = hash_client_secret(minting.client_secret_key, secret)
    now = time.time()
    ids = [new_id("agt") for _ in range(count)]
    mark = secrets.token_hex(4)
    with minting.database.writing.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        for start in range(0, count, _ROWS):
            part = ids[start : start + _ROWS]
            driver.execute("BEGIN IMMEDIATE")
            names = enumerate(part, start)
            driver.executemany(
                _AGENT, [(one, f"agent-{mark}-{n}", minting.person, f'["{system}"]', now) for n, one in names]
            )
            driver.executemany(_CREDENTIAL, [(new_id("crd"), one, hashed, now) for one in part])
            driver.execute("COMMIT")
    return ids, secret


def target(url: str, ids: Sequence[str], secret: str, resource: str) -> load.Target:
    """`client_credentials` as an agent that is another each time, at random."""
    fixed = urlencode({"grant_type": "client_credentials", "client_secret": secret, "resource": resource})
    choose = random.Random(7)  # the same agents in each run

    def fresh(count: int) -> Sequence[str]:
        return [f"{fixed}&client_id={one}" for one in choose.choices(ids, k=count)]

    return load.Target(url, FORM, "", fresh=fresh)


def resident_bytes(pid: int) -> int:
    """The memory that the largest of a process and its children holds: the worker's."""
    return max((_resident(process) for process in (pid, *_children(pid))), default=0)


def _children(pid: int) -> list[int]:
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    except OSError:
        return []


def _resident(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:")), 0)
