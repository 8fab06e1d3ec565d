"""A browser without a window: it keeps cookies as a browser does on localhost, and follows nothing by itself."""

from http.cookies import SimpleCookie
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx2


class Browser:
    """Cookies by origin. Those that are `Secure` are sent to localhost too, as browsers do."""

    def __init__(self) -> None:
        self.jar: dict[str, dict[str, str]] = {}
        self._client = httpx2.Client(follow_redirects=False, timeout=20, trust_env=False)

    def get(self, url: str, **headers: str) -> httpx2.Response:
        """One GET, as a person's navigation."""
        return self._send("GET", url, None, headers)

    def post(self, url: str, data: dict[str, str], **headers: str) -> httpx2.Response:
        """One form."""
        return self._send("POST", url, data, headers)

    def follow(self, answer: httpx2.Response, until: str = "\0") -> httpx2.Response:
        """Follow redirects, but none to an address that begins with `until`."""
        for _ in range(12):
            if not answer.is_redirect:
                return answer
            target = urljoin(str(answer.url), answer.headers["location"])
            if target.startswith(until):
                return answer
            answer = self.get(target)
        raise AssertionError("redirected without end")

    def sign_on(self, origin: str, login: str, name: str = "acme", back: str = "") -> httpx2.Response:
        """The whole way through the provider; the answer of the callback."""
        return self.get(self.to_the_callback(origin, login, name, back))

    def to_the_callback(self, origin: str, login: str, name: str = "acme", back: str = "") -> str:
        """The way through the provider up to the callback's address, which is not opened."""
        query = f"?return={back}" if back else ""
        callback = f"{origin}/console/sign-in/callback/"
        answer = self.follow(self.get(f"{origin}/console/sign-in/with/{name}{query}"), callback)
        if not answer.is_redirect:
            assert "<form" in answer.text, answer.text
            answer = self.follow(self.post(str(answer.url), {"login": login}), callback)
        return str(answer.headers["location"])

    def cookie(self, url: str, name: str) -> str | None:
        """A cookie that this browser holds for an address."""
        return self.jar.get(urlsplit(url).netloc, {}).get(name)

    def close(self) -> None:
        self._client.close()

    def _send(self, method: str, url: str, data: dict[str, str] | None, headers: dict[str, str]) -> httpx2.Response:
        cookies = self.jar.setdefault(urlsplit(url).netloc, {})
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
        answer = self._client.request(method, url, data=data, headers=sent)
        for line in answer.headers.get_list("set-cookie"):
            for name, morsel in SimpleCookie(line).items():
                if morsel.value and morsel["max-age"] != "0":
                    cookies[name] = morsel.value
                else:
                    cookies.pop(name, None)
        return answer


def query_of(url: str) -> dict[str, str]:
    """The parameters of an address, each of which stands once."""
    found = parse_qs(urlsplit(url).query, keep_blank_values=True)
    assert all(len(values) == 1 for values in found.values())
    return {name: values[0] for name, values in found.items()}
