"""The Chromium that the console is looked at with. One that is missing fails the tests; it never skips them."""

import os
from pathlib import Path

from playwright.sync_api import Browser, Playwright

_ROOT = Path(__file__).parents[2]
_UNPACKED = _ROOT / "build" / "chromium"


class BrowserMissing(Exception):
    """There is no Chromium on this machine, and none was unpacked."""


def find_chromium() -> Path:
    """CHROMIUM, else the machine's own, else the one that scripts/install-chromium unpacked. Raises BrowserMissing."""
    named = os.environ.get("CHROMIUM")
    candidates = [Path(named)] if named else [Path("/usr/bin/chromium"), _UNPACKED / "chromium"]
    for candidate in candidates:
        if os.access(candidate, os.X_OK):
            return candidate
    raise BrowserMissing(
        f"no Chromium at {', '.join(map(str, candidates))}: run scripts/install-chromium, or set CHROMIUM to one"
    )


def launch(playwright: Playwright) -> Browser:
    """Start it headless, with the web's security on and no window system."""
    executable = find_chromium()
    environment: dict[str, str | float | bool] = dict(os.environ)
    if executable.parent == _UNPACKED:
        environment["FONTCONFIG_FILE"] = str(_UNPACKED / "fonts.conf")
        libraries = _UNPACKED / "al2023" / "lib"
        if libraries.exists():
            environment["LD_LIBRARY_PATH"] = f"{libraries}:{os.environ.get('LD_LIBRARY_PATH', '')}"
    return playwright.chromium.launch(
        executable_path=executable, env=environment, args=["--font-render-hinting=none", "--disable-dev-shm-usage"]
    )
