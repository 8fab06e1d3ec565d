"""An installation on disk: its data folder, its keys and its first administrator, made at the first start.

Every step may be repeated: what is there is left as it is.
"""

import asyncio
import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from accredit.audit.checkpoint import LogSigner
from accredit.audit.errors import AlreadySequenced
from accredit.audit.publishers.filesystem import FilesystemPublisher
from accredit.audit.sequencer import Sequencer
from accredit.clock import SystemClock
from accredit.errors import InputRefused
from accredit.ids import new_id
from accredit.keys.custody import Custody
from accredit.keys.keyring import add_keys, missing_purposes, new_keys, open_keyring
from accredit.keys.seal import Sealer
from accredit.keys.signers import open_places
from accredit.keys.unsealer import Unsealer
from accredit.keys.unsealers import UNSEALERS
from accredit.keys.unsealers.file import FileUnsealer
from accredit.outbound import Outbound
from accredit.people.directory import LOCAL_ADMINISTRATOR_EMAIL, People
from accredit.people.sessions import Sessions
from accredit.settings import Settings
from accredit.storage.db import Database
from accredit.storage.feed import Feed
from accredit.storage.migrate import migrate
from accredit.storage.transactions import Transactions
from accredit.storage.writer import Writer

LINK_FILE = "sign-in-link"
MANAGEMENT_FILE = "management.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What the first start made: said once, by the command that made it."""

    master_key_made: Path | None
    sign_in_link: str | None


class Management(msgspec.Struct, frozen=True):
    """`management.json`: where this server is, and the token for its management API."""

    url: str
    token: str


def open_unsealer(settings: Settings) -> Unsealer:
    """The source of the master key that the settings name: the environment, else the file."""
    return next(unsealer for make in UNSEALERS if (unsealer := make(settings)) is not None)


def prepare(settings: Settings, *, new_link: bool = False) -> Prepared:
    """Make what is missing; with `new_link`, a new sign-in link in any case. Runs its own event loop.

    Raises InputRefused if the folder or the master key is unfit, Unavailable if the keys do not open or cannot be made.
    """
    # Nothing that this process writes is for others, SQLite's own files included; workers inherit it.
    os.umask(0o077)
    _make_folder(settings.data)
    with _lock(settings.data):
        unsealer = open_unsealer(settings)
        sealer = Sealer(unsealer.master_key())
        database = Database(settings.database_url)
        try:
            migrate(database)
            link = asyncio.run(_fill(settings, database, sealer, new_link=new_link))
        finally:
            database.close()
    made = unsealer.path if isinstance(unsealer, FileUnsealer) and unsealer.made else None
    return Prepared(master_key_made=made, sign_in_link=link)


def write_management(settings: Settings) -> Management:
    """Write `management.json` with a new token."""
    management = Management(url=settings.issuer, token="mgt_" + secrets.token_urlsafe(32))
    write_private(settings.data / MANAGEMENT_FILE, msgspec.json.encode(management))
    return management


def read_management(settings: Settings) -> Management:
    """What the starting process wrote, for its workers."""
    return msgspec.json.decode((settings.data / MANAGEMENT_FILE).read_bytes(), type=Management)


def write_private(path: Path, data: bytes) -> None:
    """Put a file of mode 0600 in place at once: a reader sees the old or the new, never a part."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    beside.replace(path)


async def _fill(settings: Settings, database: Database, sealer: Sealer, *, new_link: bool) -> str | None:
    clock = SystemClock()
    writer = Writer(database)
    outbound = Outbound()
    custody = Custody(sealer, *open_places(settings, outbound))
    try:
        feed = Feed(database, clock)
        await feed.start()
        transactions = Transactions(database, writer, feed)
        missing = missing_purposes(database)
        if missing:
            made = await new_keys(missing, custody, clock.seconds(), new_id)
            await transactions.change(lambda tx: add_keys(tx, made))
        people = People(transactions, feed, clock, new_id)
        first = await people.by_email(LOCAL_ADMINISTRATOR_EMAIL) is None
        administrator = await people.administrator()
        await _check_log(settings, database, custody, transactions)
        if not first and not new_link:
            return None
        token = await Sessions(transactions, clock, new_id).new_link(administrator)
        link = f"{settings.issuer}/console/sign-in#{token}"
        write_private(settings.data / LINK_FILE, f"{link}\n".encode())
        return link
    finally:
        await outbound.close()
        await writer.close()


async def _check_log(settings: Settings, database: Database, custody: Custody, transactions: Transactions) -> None:
    """Finish what a crash left, and refuse to start over a log that was set back: it could only be signed twice."""
    keyring = open_keyring(database, custody, SystemClock())
    signer = LogSigner(keyring.log, keyring.log_mldsa44)
    sequencer = Sequencer(transactions, signer, FilesystemPublisher(settings.data / "log"), SystemClock())
    try:
        await sequencer.start()
    except AlreadySequenced:
        # A server is running on this folder, and has the log in hand.
        return
    await sequencer.close()


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise InputRefused(f"{folder} cannot be made: {error.strerror}", next_step="set ACCREDIT_DATA") from error
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & 0o077:
        raise InputRefused(f"{folder} is open to others (mode {mode:04o})", next_step=f"chmod 700 {folder}")


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Two processes that start at once make one set of keys, not two."""
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
