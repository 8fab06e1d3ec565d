"""A connector manifest (TOML) → System. What is wrong is told with file, line and what was expected."""

import re
import tomllib
from typing import get_args
from urllib.parse import urlsplit

import msgspec

from accredit.errors import InputRefused
from accredit.ids import SystemId
from accredit.keys.algorithms import DEFAULT_ALGORITHM, AlgorithmName
from accredit.settings import toml_place
from accredit.systems.model import CREDENTIAL_ENGINES, Data, Effect, Kind, Operation, ProtocolName, System

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}\Z")
ACTION = re.compile(r"[a-z0-9][a-z0-9_-]*(\.[a-z0-9][a-z0-9_-]*)+\Z")
# RFC 6749 §3.3: scope-token is printable ASCII without space, quote and backslash.
SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+\Z")
MATCH_RULES = ("tool", "resource", "prompt", "method")
RESERVED = frozenset({"accredit"})
_NEXT = "docs/manifests.md shows the form; mend that line, nothing was changed"
RESERVED_PREFIXES = ("token.", "mcp.")


class ManifestInvalid(InputRefused):
    """The manifest is not as `docs/manifests.md` says; nothing was changed."""

    code = "manifest_invalid"


class _Credential(msgspec.Struct, forbid_unknown_fields=True):
    engine: str = "none"


class _OperationTable(msgspec.Struct, forbid_unknown_fields=True):
    action: str
    effect: Effect
    scope: str
    sensitivity: int | None = None
    data: tuple[Data, ...] | None = None
    upstream_scopes: tuple[str, ...] = ()
    tool: str | None = None
    resource: str | None = None
    prompt: str | None = None
    method: str | None = None
    path: str | None = None


class _Manifest(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    title: str
    kind: Kind
    protocol: ProtocolName
    upstream: str
    sensitivity: int
    data: tuple[Data, ...] = ("none",)
    token_algorithm: AlgorithmName = DEFAULT_ALGORITHM
    credential: _Credential = msgspec.field(default_factory=_Credential)
    operations: tuple[_OperationTable, ...] = ()


def parse_manifest(text: str, file: str, system_id: SystemId, version: int) -> System:
    """Read one manifest. `file` is its name, for messages.

    Raises ManifestInvalid with file, line and what was expected.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ManifestInvalid(f"{toml_place(file, str(error))}; expected TOML", next_step=_NEXT) from error
    try:
        manifest = msgspec.convert(table, _Manifest)
    except msgspec.ValidationError as error:
        raise ManifestInvalid(_explain(str(error), text, file), next_step=_NEXT) from error
    operations = tuple(_operation(one, n, manifest, text, file) for n, one in enumerate(manifest.operations))
    _check_system(manifest, text, file)
    _check_unique(operations, text, file)
    return System(
        id=system_id,
        name=manifest.name,
        title=manifest.title,
        kind=manifest.kind,
        protocol=manifest.protocol,
        upstream=manifest.upstream,
        sensitivity=manifest.sensitivity,
        data=manifest.data,
        credential_engine=manifest.credential.engine,
        operations=operations,
        version=version,
        token_algorithm=manifest.token_algorithm,
    )


def _check_system(manifest: _Manifest, text: str, file: str) -> None:
    def refuse(key: str, expected: str) -> ManifestInvalid:
        return ManifestInvalid(f"{file}:{_line_of(text, key)}: {key} must be {expected}", next_step=_NEXT)

    if not NAME.match(manifest.name) or manifest.name in RESERVED:
        raise refuse("name", "a-z, 0-9 and -, at most 63, and not a reserved name (accredit)")
    if not manifest.title.strip():
        raise refuse("title", "a text that people read")
    if not 0 <= manifest.sensitivity <= 4:  # noqa: PLR2004  # 0 public to 4 critical
        raise refuse("sensitivity", "0 (public) to 4 (critical)")
    if manifest.credential.engine not in CREDENTIAL_ENGINES:
        raise refuse("engine", "one of " + ", ".join(CREDENTIAL_ENGINES))
    try:
        url = urlsplit(manifest.upstream)
        valid = url.scheme in ("http", "https") and bool(url.hostname) and url.username is None and not url.fragment
        valid = valid and (url.port is None or url.port > 0) and manifest.upstream.isascii()
        valid = valid and not re.search(r"[\s\\]", manifest.upstream)
    except ValueError:
        valid = False
    if not valid:
        raise refuse("upstream", "an http or https URL without user, password or fragment")


def _operation(one: _OperationTable, number: int, manifest: _Manifest, text: str, file: str) -> Operation:
    def refuse(key: str, expected: str) -> ManifestInvalid:
        return ManifestInvalid(
            f"{file}:{_line_of(text, key, number)}: operation {number + 1} ({one.action}): {key} must be {expected}",
            next_step=_NEXT,
        )

    if not ACTION.match(one.action) or one.action.startswith(RESERVED_PREFIXES):
        raise refuse("action", "dotted words of a-z, 0-9, _ and -, such as crm.contacts.search")
    if not SCOPE.match(one.scope):
        raise refuse("scope", "a scope token (RFC 6749 §3.3), such as crm:contacts.read")
    if one.sensitivity is not None and not 0 <= one.sensitivity <= 4:  # noqa: PLR2004  # as above
        raise refuse("sensitivity", "0 (public) to 4 (critical)")
    rules = [rule for rule in MATCH_RULES if getattr(one, rule) is not None]
    mcp = manifest.protocol == "mcp"
    if len(rules) != 1 or (mcp and rules == ["method"]) or (not mcp and rules != ["method"]):
        raise refuse("action", "matched by just one of tool, resource, prompt" if mcp else "matched by method and path")
    if (one.method is None) != (one.path is None):
        raise refuse("path", "given together with method")
    return Operation(
        action=one.action,
        effect=one.effect,
        sensitivity=manifest.sensitivity if one.sensitivity is None else one.sensitivity,
        data=manifest.data if one.data is None else one.data,
        scope=one.scope,
        upstream_scopes=one.upstream_scopes,
        tool=one.tool,
        resource=one.resource,
        prompt=one.prompt,
        method=one.method,
        path=one.path,
    )


def _check_unique(operations: tuple[Operation, ...], text: str, file: str) -> None:
    actions: dict[str, Operation] = {}
    matches: set[tuple[str, str]] = set()
    for number, one in enumerate(operations):
        line = _line_of(text, "action", number)
        earlier = actions.setdefault(one.action, one)
        # One action may match several tools only if it means the same for each.
        if (earlier.effect, earlier.sensitivity, earlier.data) != (one.effect, one.sensitivity, one.data):
            raise ManifestInvalid(
                f"{file}:{line}: {one.action} stands above with another effect, sensitivity or data", next_step=_NEXT
            )
        for rule in ("tool", "resource", "prompt"):
            value = getattr(one, rule)
            if value is not None and (rule, value) in matches:
                raise ManifestInvalid(
                    f"{file}:{line}: {rule} {value!r} is matched by an operation above", next_step=_NEXT
                )
            if value is not None:
                matches.add((rule, value))


_PATH = re.compile(r"`\$(?P<path>[^`]*)`")


_CHOICES = {
    "effect": Effect,
    "kind": Kind,
    "protocol": ProtocolName,
    "data": Data,
    "token_algorithm": AlgorithmName,
}


def _explain(message: str, text: str, file: str) -> str:
    """Msgspec's message names a path such as `$.operations[1].effect`; find its line."""
    found = _PATH.search(message)
    path = found["path"] if found else ""
    index = re.search(r"operations\[(\d+)\]", path)
    words = re.findall(r"[A-Za-z_]+", path)
    unknown = re.search(r"field `([^`]+)`", message)
    key = unknown[1] if unknown else (words[-1] if words and words[-1] != "operations" else "")
    number = int(index[1]) if index else None
    expected = ""
    if choices := _CHOICES.get(key):
        expected = ": one of " + ", ".join(get_args(choices))
    return f"{file}:{_line_of(text, key, number)}: {_PATH.sub('', message).removesuffix(' - at ')}{expected} ({key})"


def _line_of(text: str, key: str, operation: int | None = None) -> int:
    """The line where a key stands, within one `[[operations]]` table if named; the table's own line if absent."""
    wanted = -1 if operation is None else operation
    seen, best = -1, 1
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if stripped.startswith("[[operations]]"):
            seen += 1
            best = number if seen == operation else best
        elif key and seen == wanted and (stripped == f"[{key}]" or re.match(rf"{re.escape(key)}\s*=", stripped)):
            return number
    return best
