"""Cedar text, split into its policies, with a place for every error: cedarpy itself gives none (`research: §1`).

An unexpected token is found by asking Cedar about prefixes of the text, each closed with `;`: where the text could
have gone on, it is this `;` that is unexpected. What could have stood there is found in the same way.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from accredit.errors import InputRefused

MAX_NESTING = 32
MAX_POLICY_CHARACTERS = 65_536

_TOKEN = re.compile(
    r"""(?P<blank>\s+|//[^\n\r]*)|(?P<string>"(?:\\.|[^"\\])*")|(?P<word>[A-Za-z_]\w*|\d+)"""
    r"""|(?P<symbol>::|==|!=|<=|>=|&&|\|\||[@(){}\[\],;<>+\-*!.:?%/=])|(?P<other>.)""",
    re.DOTALL | re.ASCII,
)
_OPENING, _CLOSING = "([{", ")]}"
_TRIED = (*re.split(" ", ", ( ) { } [ ] :: . @ == != < <= > >= && || + - *"), '"text"', "1", "name")
_TRIED_WORDS = ("when", "unless", "in", "is", "has", "like", "then", "else")
_SHOWN = {'"text"': "a string", "1": "a number", "name": "a name"}
_HINTS = (
    ("valid operator", "expected one of `==` `!=` `<` `<=` `>` `>=`"),
    ("variable in the policy scope", "expected principal, action, resource, in this order"),
)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong at one place. `line` counts from 1."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


class PolicyInvalid(InputRefused):
    """A policy set that cannot be used; each problem has its file, its line and what was expected."""

    code = "policy_invalid"

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(
            "\n".join(str(problem) for problem in self.problems),
            next_step="correct the policies and apply them again; the running set was not changed",
        )


@dataclass(frozen=True, slots=True)
class Token:
    """One token of Cedar text, and where it stands in its file (`offset`, in characters)."""

    text: str
    offset: int
    line: int


@dataclass(frozen=True, slots=True)
class Piece:
    """The text of one policy, from its first token to its `;`."""

    file: str
    text: str
    tokens: tuple[Token, ...]

    @property
    def line(self) -> int:
        """The line on which the policy begins."""
        return self.tokens[0].line

    def problem(self, message: str, token: Token | None = None) -> Problem:
        """A problem at a token, or at the beginning of the policy."""
        return Problem(self.file, (token or self.tokens[0]).line, message)

    def token_like(self, texts: Iterable[str]) -> Token | None:
        """The first token that is one of these texts, bare or as a string."""
        wanted = set(texts)
        wanted |= {f'"{text}"' for text in wanted}
        return next((token for token in self.tokens if token.text in wanted), None)


def split(file: str, text: str) -> Iterator[Piece]:
    """Split a file at each `;` that ends a policy. Raises PolicyInvalid with every problem of the file's tokens."""
    pending: list[Token] = []
    problems: list[Problem] = []
    pieces: list[Piece] = []
    depth = 0
    for token, kind in _tokens(text):
        if kind == "other":
            problems.append(Problem(file, token.line, _unknown_character(token.text)))
            break
        pending.append(token)
        depth += (token.text in _OPENING) - (token.text in _CLOSING)
        if depth > MAX_NESTING:
            # Cedar's parser overflows the stack, and ends the process, a little beyond 500 (run).
            problems.append(Problem(file, token.line, f"more than {MAX_NESTING} brackets are open at once"))
            break
        if token.text == ";":
            pieces.append(_piece(file, text, pending))
            pending, depth = [], 0
    if pending and not problems:
        problems.append(Problem(file, pending[0].line, "the policy that begins here does not end with `;`"))
    problems += [
        piece.problem(f"a policy has at most {MAX_POLICY_CHARACTERS} characters")
        for piece in pieces
        if len(piece.text) > MAX_POLICY_CHARACTERS
    ]
    if problems:
        raise PolicyInvalid(problems)
    yield from pieces


def locate(piece: Piece, error: str, parse: Callable[[str], object]) -> Problem:
    """Give Cedar's error about a piece its place, and say what was expected there. `parse` raises ValueError."""
    if not error.startswith("unexpected token"):
        quoted = re.findall(r"[`']([^`']+)[`']", error) + error.rsplit(": ", 1)[-1:]
        hints = [hint for part, hint in _HINTS if part in error]
        return piece.problem("; ".join([error, *hints]), piece.token_like(quoted))

    viable = _viable_prefix(piece, parse)
    token = piece.tokens[viable]
    expected = _expected(_prefix(piece, viable), parse)
    return piece.problem(f"unexpected `{_cut(token.text)}`; expected {expected}", token)


def _tokens(text: str) -> Iterator[tuple[Token, str]]:
    line, counted = 1, 0
    for match in _TOKEN.finditer(text):
        line += text.count("\n", counted, match.start())
        counted = match.start()
        kind = match.lastgroup or "other"
        if kind != "blank":
            yield Token(match.group(), match.start(), line), kind


def _piece(file: str, text: str, tokens: list[Token]) -> Piece:
    last = tokens[-1]
    return Piece(file, text[tokens[0].offset : last.offset + len(last.text)], tuple(tokens))


def _prefix(piece: Piece, count: int) -> str:
    return piece.text[: piece.tokens[count].offset - piece.tokens[0].offset]


def _viable_prefix(piece: Piece, parse: Callable[[str], object]) -> int:
    """The largest number of tokens that a policy could begin with."""
    low, high = 0, len(piece.tokens) - 1
    while low < high:
        middle = (low + high + 1) // 2
        if _could_go_on(_prefix(piece, middle), parse):
            low = middle
        else:
            high = middle - 1
    return low


def _expected(prefix: str, parse: Callable[[str], object]) -> str:
    if not prefix:
        return "one of `@` `permit` `forbid`"
    # Where a name may stand, any word may.
    words = () if _could_go_on(f"{prefix} name", parse) else _TRIED_WORDS
    tried = [*_TRIED, *words]
    found = [_SHOWN.get(text, f"`{text}`") for text in tried if _could_go_on(f"{prefix} {text}", parse)]
    if _is_whole(prefix, parse):
        found.append("`;`")
    if not found:
        return "another token"
    return found[0] if len(found) == 1 else "one of " + " ".join(found)


def _could_go_on(text: str, parse: Callable[[str], object]) -> bool:
    error = _error(f"{text} ;", parse)
    return error is None or not error.startswith("unexpected token") or error == "unexpected token `;`"


def _is_whole(text: str, parse: Callable[[str], object]) -> bool:
    error = _error(f"{text} ;", parse)
    return error is None or not error.startswith("unexpected token")


def _error(text: str, parse: Callable[[str], object]) -> str | None:
    try:
        parse(text)
    except ValueError as error:
        return str(error)
    return None


def _unknown_character(text: str) -> str:
    if text == '"':
        return 'the string that begins here does not end; expected `"`'
    return f"the character {text!r} has no meaning in Cedar outside a string"


def _cut(text: str) -> str:
    return text if len(text) <= 40 else text[:40] + "…"  # noqa: PLR2004  # a width, for reading
