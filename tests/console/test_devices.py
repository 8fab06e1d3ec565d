"""What a browser calls itself becomes words that a person knows it by."""

import pytest

from accredit.console.devices import device_of

_WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
_BROWSERS = {
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_WEBKIT} Chrome/140.0 Safari/537.36 Edg/140.0": "Edge on Windows",
    f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {_WEBKIT} Chrome/140.0 Safari/537.36": "Chrome on macOS",
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0": "Firefox on Linux",
    f"Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) {_WEBKIT} Version/19 Safari/604.1": "Safari on iPhone",
    f"Mozilla/5.0 (Linux; Android 16) {_WEBKIT} Chrome/140.0 Mobile Safari/537.36": "Chrome on Android",
    "curl/8.5.0": "curl",
    "": "Unknown browser",
    "<script>alert(1)</script>": "Unknown browser",
}


@pytest.mark.parametrize("user_agent", _BROWSERS)
def test_a_browser_is_named_as_its_user_knows_it(user_agent: str) -> None:
    assert device_of(user_agent) == _BROWSERS[user_agent]
