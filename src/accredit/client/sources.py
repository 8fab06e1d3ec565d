"""Where an assertion or a subject token comes from: a text, a file, or a function of the program or the platform."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from accredit.client.errors import Misconfigured
from accredit.client.steps import Steps, ask

Source = str | Callable[[str], str | Awaitable[str]]
"""A token, or a function that is called with the audience (the issuer who will read it) each time one is needed."""


def from_file(path: Path) -> Source:
    """A token that the platform writes anew into a file, such as a projected Kubernetes service account token.

        JwtBearer(from_file(Path("/var/run/secrets/tokens/accredit")))

    The file is read each time that a token is needed.
    """

    def read(audience: str) -> str:  # noqa: ARG001  # the platform fixed the audience
        try:
            return path.read_text().strip()
        except OSError as error:
            raise Misconfigured(f"{path} cannot be read", next_step="check the volume and its audience") from error

    return read


def obtain(source: Source, audience: str) -> Steps[str]:
    """What a source gives for an audience. Raises Misconfigured, and whatever the program's function raises."""
    if isinstance(source, str):
        return source
    give = source
    found = yield from ask(lambda: give(audience))
    if not isinstance(found, str) or not found:
        raise Misconfigured("the source of a token gave none")
    return found
