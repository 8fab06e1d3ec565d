"""Settings: `./accredit.toml`, then the data folder's, then `ACCREDIT_*`. Nothing else reads the environment.

Each setting is one row of `SETTINGS`: its key in TOML, its variable, its default, its unit and what it does. The help
of `accredit serve` is made from the same rows.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from accredit.errors import InputRefused

_HELP = "`accredit serve --help` explains each setting"


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: `key` in TOML; the variable is `ACCREDIT_` and the key in capitals."""

    key: str
    default: str | int
    unit: str
    purpose: str

    @property
    def variable(self) -> str:
        """The name of the environment variable."""
        return "ACCREDIT_" + self.key.upper()


SETTINGS = (
    Setting("data", "./accredit-data", "path", "where the server keeps its files; made 0700 if absent"),
    Setting("listen", "127.0.0.1:8400", "address", "address and port to listen on; port 0 takes a free one"),
    Setting("issuer", "", "URL", "the issuer; empty: http://localhost: and the port"),
    Setting("database_url", "", "URL", "SQLAlchemy's database URL; empty: SQLite in the data folder"),
    Setting("workers", 1, "processes", "worker processes"),
    Setting("access_token_seconds", 300, "seconds", "how long an access token is valid"),
    Setting("max_session_seconds", 28_800, "seconds", "bounds all that a new agent holds: tokens, refresh chains"),
    Setting("delegation_seconds", 2_592_000, "seconds", "the longest time for which a person can let an agent act"),
    Setting("delegation_depth", 4, "agents", "how many agents may act in a chain (RFC 8693 §4.1)"),
    Setting("sender_constrained", "optional", "optional or required", "required: tokens are bound by DPoP or mTLS"),
    Setting("pushed_requests", "optional", "optional or required", "required: requests are pushed first (RFC 9126)"),
    Setting("dpop_nonces", "off", "on or off", "on: a DPoP proof must hold a nonce of ours (RFC 9449 §8)"),
    Setting("client_certificate_header", "", "header", "where a proxy puts the client's certificate (RFC 9440)"),
    Setting("trusted_proxies", "", "addresses", "whose headers are taken: addresses or networks, with commas"),
    Setting("client_certificate_authorities", "", "path", "PEM of the authorities that sign clients' certificates"),
    Setting("client_metadata_hosts", "*", "hosts", "hosts whose client metadata documents are taken; * any"),
    Setting("private_hosts", "", "hosts", "hosts with private addresses that a URL given by a client may name"),
    Setting("open_client_roles", "ai-agent-readonly", "roles", "roles of a client that comes by its metadata document"),
    Setting("open_client_systems", "", "systems", "systems that such a client may be given; * all, empty none"),
    Setting("trust_domain", "", "name", "the audience of transaction tokens for systems; empty: the issuer"),
    Setting("token_status", "off", "on or off", "on: tokens have a place in a token status list"),
    Setting("openbao_address", "", "URL", "sign with OpenBao's transit engine instead of sealed keys; empty: no"),
    Setting("openbao_token_file", "", "path", "file with the token for OpenBao"),
    Setting("openbao_transit_mount", "transit", "path", "where the transit engine is mounted"),
    Setting("body_limit_bytes", 1_048_576, "bytes", "the largest request body; a larger one is refused whole"),
    Setting("upstream_connect_seconds", 3, "seconds", "how long a connection to an upstream may take"),
    Setting("upstream_seconds", 60, "seconds", "how long an upstream may be silent before the call is given up"),
    Setting("concurrent_requests", 16_384, "requests", "open requests and streams a worker takes before it queues"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one process, read once. See `SETTINGS` for units and defaults."""

    data: Path
    listen_host: str
    listen_port: int
    issuer: str
    database_url: str
    workers: int
    access_token_seconds: int
    max_session_seconds: int
    delegation_seconds: int
    delegation_depth: int
    sender_constrained: bool
    pushed_requests: bool
    dpop_nonces: bool
    client_certificate_header: str
    trusted_proxies: tuple[str, ...]
    client_certificate_authorities: str
    client_metadata_hosts: tuple[str, ...]
    private_hosts: tuple[str, ...]
    open_client_roles: tuple[str, ...]
    open_client_systems: tuple[str, ...]
    trust_domain: str
    token_status: bool
    openbao_address: str
    openbao_token_file: str
    openbao_transit_mount: str
    body_limit_bytes: int
    upstream_connect_seconds: int
    upstream_seconds: int
    concurrent_requests: int
    master_key: str | None


def load_settings(environment: Mapping[str, str] | None = None, folder: Path | None = None) -> Settings:
    """Read the files and the environment. Raises InputRefused with the file or variable and what was expected."""
    env = os.environ if environment is None else environment
    values: dict[str, str | int] = {setting.key: setting.default for setting in SETTINGS}
    here = folder or Path()
    _merge(values, here / "accredit.toml")
    data = Path(env.get("ACCREDIT_DATA", str(values["data"])))
    _merge(values, data / "accredit.toml")
    for setting in SETTINGS:
        if (text := env.get(setting.variable)) is not None:
            values[setting.key] = _typed(setting, text, f"the variable {setting.variable}")
    host, port = _listen(str(values["listen"]))
    if (url := str(values["database_url"])) and not url.startswith("sqlite:"):
        raise InputRefused("database_url must begin with sqlite: in this version", next_step="leave it out")
    data = Path(str(values["data"])).absolute()
    return Settings(
        data=data,
        listen_host=host,
        listen_port=port,
        issuer=str(values["issuer"]).rstrip("/") or f"http://localhost:{port}",
        database_url=str(values["database_url"]) or f"sqlite:///{data / 'accredit.db'}",
        workers=int(values["workers"]),
        access_token_seconds=int(values["access_token_seconds"]),
        max_session_seconds=int(values["max_session_seconds"]),
        delegation_seconds=int(values["delegation_seconds"]),
        delegation_depth=int(values["delegation_depth"]),
        sender_constrained=_one_of(values, "sender_constrained", ("optional", "required")) == "required",
        pushed_requests=_one_of(values, "pushed_requests", ("optional", "required")) == "required",
        dpop_nonces=_one_of(values, "dpop_nonces", ("on", "off")) == "on",
        client_certificate_header=str(values["client_certificate_header"]).lower(),
        trusted_proxies=_listed(values, "trusted_proxies"),
        client_certificate_authorities=str(values["client_certificate_authorities"]),
        client_metadata_hosts=_listed(values, "client_metadata_hosts"),
        private_hosts=_listed(values, "private_hosts"),
        open_client_roles=_listed(values, "open_client_roles"),
        open_client_systems=_listed(values, "open_client_systems"),
        trust_domain=str(values["trust_domain"]),
        token_status=_one_of(values, "token_status", ("on", "off")) == "on",
        openbao_address=str(values["openbao_address"]).rstrip("/"),
        openbao_token_file=str(values["openbao_token_file"]),
        openbao_transit_mount=str(values["openbao_transit_mount"]).strip("/"),
        body_limit_bytes=int(values["body_limit_bytes"]),
        upstream_connect_seconds=int(values["upstream_connect_seconds"]),
        upstream_seconds=int(values["upstream_seconds"]),
        concurrent_requests=int(values["concurrent_requests"]),
        master_key=env.get("ACCREDIT_MASTER_KEY"),
    )


def environment() -> Mapping[str, str]:
    """The environment, for what is no setting of a server: where commands find one (`cli/connection.py`)."""
    return os.environ


def explain_settings() -> str:
    """Every setting with its variable, unit and default, for `accredit serve --help`."""
    lines = []
    for setting in SETTINGS:
        default = setting.default if setting.default != "" else "none"
        lines.append(f"  {setting.variable} ({setting.unit}; default {default})\n      {setting.purpose}")
    return "\n".join(lines)


def _merge(values: dict[str, str | int], path: Path) -> None:
    if not path.is_file():
        return
    try:
        text = path.read_text(encoding="utf-8")
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        where = toml_place(str(path), str(error))
        raise InputRefused(f"{where}; expected TOML", next_step="mend the file; nothing was started") from error
    known = {setting.key: setting for setting in SETTINGS}
    for key, value in table.items():
        where = f"{path}:{_line_of(text, key)}"
        if key not in known:
            raise InputRefused(f"{where}: {key!r} is not a setting", next_step="`accredit serve --help` lists them")
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise InputRefused(f"{where}: {key} must be {_expected(known[key])}", next_step=_HELP)
        values[key] = _typed(known[key], str(value), where)


def toml_place(file: str, message: str) -> str:
    """`file:line: what is wrong`, from tomllib's message, which names the line at its end."""
    found = re.fullmatch(r"(.*) \(at (?:line (\d+), column \d+|end of document)\)", message)
    line = int(found[2]) if found and found[2] else 1
    what = found[1] if found else message
    return f"{file}:{line}: {what[:1].lower() + what[1:]}"


def _line_of(text: str, key: str) -> int:
    for number, line in enumerate(text.splitlines(), start=1):
        if re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", line):
            return number
    return 1


def _typed(setting: Setting, text: str, where: str) -> str | int:
    if isinstance(setting.default, str):
        return text
    if not text.isascii() or not text.isdigit() or (int(text) < 1):
        raise InputRefused(f"{where}: {setting.key} must be {_expected(setting)}, not {text!r}", next_step=_HELP)
    return int(text)


def _one_of(values: Mapping[str, str | int], key: str, allowed: tuple[str, ...]) -> str:
    if values[key] not in allowed:
        raise InputRefused(f"{key} must be {' or '.join(allowed)}, not {values[key]!r}", next_step=_HELP)
    return str(values[key])


def _listed(values: Mapping[str, str | int], key: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in str(values[key]).split(",") if part.strip())


def _expected(setting: Setting) -> str:
    return f"a whole number of {setting.unit}" if isinstance(setting.default, int) else f"a text ({setting.unit})"


def _listen(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:  # noqa: PLR2004  # the last port
        raise InputRefused(f"listen must be HOST:PORT, not {text!r}", next_step="for example 127.0.0.1:8400")
    return host.strip("[]"), int(port)


def pass_settings_on(settings: Settings) -> None:
    """Put what was found out into the environment, for the worker processes: they read their settings there."""
    host = f"[{settings.listen_host}]" if ":" in settings.listen_host else settings.listen_host
    os.environ["ACCREDIT_DATA"] = str(settings.data)
    os.environ["ACCREDIT_LISTEN"] = f"{host}:{settings.listen_port}"
    os.environ["ACCREDIT_ISSUER"] = settings.issuer
