"""Systems: an MCP server, API or model that agents may be given, and its operations."""

from typing import Literal

import msgspec

from accredit.ids import SystemId
from accredit.keys.algorithms import DEFAULT_ALGORITHM, AlgorithmName

Effect = Literal["read", "write", "delete", "admin"]
Kind = Literal["crm", "erp", "email", "storage", "database", "model", "work", "other"]
Data = Literal["personal", "financial", "health", "credentials", "critical", "none"]
TRANSACTION_TOKEN = "transaction_token"  # noqa: S105  # the name of an engine
CREDENTIAL_ENGINES = ("none", TRANSACTION_TOKEN)
"""What the gateway can put into a call: nothing, or a token of its own that tells of the call."""

ProtocolName = Literal["mcp", "http", "openai", "anthropic", "a2a"]


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that can be done there. Just one of the match rules is set.

    `sensitivity` is 0 public to 4 critical. `tool`, `resource` (a URI, `*` at the end matches any rest) and
    `prompt` match MCP requests; `method` with `path` matches HTTP.
    """

    action: str
    effect: Effect
    sensitivity: int
    data: tuple[Data, ...]
    scope: str
    upstream_scopes: tuple[str, ...] = ()
    tool: str | None = None
    resource: str | None = None
    prompt: str | None = None
    method: str | None = None
    path: str | None = None


class System(msgspec.Struct, frozen=True, kw_only=True):
    """One system as its manifest says. `name` stands in paths and resources; `version` grows with every change.

    `token_algorithm` is what signs the tokens for it.
    """

    id: SystemId
    name: str
    title: str
    kind: Kind
    protocol: ProtocolName
    upstream: str
    sensitivity: int
    data: tuple[Data, ...]
    credential_engine: str
    operations: tuple[Operation, ...]
    version: int
    token_algorithm: AlgorithmName = DEFAULT_ALGORITHM


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A tool's name and the JSON Schema of its arguments, as its server describes them (JSON text)."""

    name: str
    input_schema: str
