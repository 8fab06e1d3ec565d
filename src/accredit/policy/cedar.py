"""Cedar through cedarpy: from policy text to a compiled set, and from a request to a verdict.

Our own ids are kept, by way of Cedar's JSON form, so that reasons name them. Any error in the diagnostics, and an
answer that is no decision, is a denial: Cedar skips a `forbid` that errors, and would permit.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import cedarpy
import msgspec

from accredit import canonical
from accredit.policy import est
from accredit.policy.source import Piece, PolicyInvalid, Problem, locate, split

DEFAULT_DENY = "default-deny"
AGENT_STATUS = "agent-status"
AUTHORIZATION_DETAILS = "authorization-details"
PERSON_RIGHTS = "person-rights"
RESERVED_IDS = frozenset((DEFAULT_DENY, AGENT_STATUS, AUTHORIZATION_DETAILS, PERSON_RIGHTS))

STARTER_PREFIX = "starter/"
"""Begins the file names of the starter policies in a compiled set; no stored file may be named so."""

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_NAMED_IN_ERROR = re.compile(r"policy `([^`]+)`")
_NO_TEMPLATES = '"templates":{},"templateLinks":[]'


class CompiledPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """One policy, ready to be indexed and evaluated.

    `principal`, `actions` and `resource` are the keys of its scope (`est.scope_key`), `reads` the context attributes
    that it reads, `roles` the roles that it names, `elevations` those that it asks `context.elevation` for.
    `agents` are the ids of the agents that it names, `reads_owner` is whether an agent's owner can matter to it.
    `cedar_json` is the policy in Cedar's JSON form; `relaxed_json` the same without the conjuncts that read the call
    itself, for a permit that has some.
    """

    id: str
    description: str
    effect: Literal["permit", "forbid"]
    file: str
    line: int
    text: str
    principal: str
    actions: tuple[str, ...]
    resource: str
    reads: tuple[str, ...]
    roles: tuple[str, ...]
    elevations: tuple[str, ...]
    agents: tuple[str, ...]
    reads_owner: bool
    cedar_json: str
    relaxed_json: str | None

    @property
    def reads_arguments(self) -> bool:
        """Whether the call's arguments matter to it."""
        return est.reads_arguments(self.reads)


class CompiledPolicies(msgspec.Struct, frozen=True, kw_only=True):
    """A whole set, in the order of its files; `digest` is the SHA-256 of its sources."""

    digest: str
    policies: tuple[CompiledPolicy, ...]


class Verdict(msgspec.Struct, frozen=True):
    """What Cedar answered: `reasons` are the policies that decided, `errors` those that could not be evaluated.

    `decided` is false when Cedar refused the request itself. `permits` is true only for a permit without errors.
    """

    permits: bool
    reasons: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    decided: bool = True


def compile_policies(sources: Mapping[str, str]) -> CompiledPolicies:
    """Compile a set from file name → Cedar text. Pure; the result can be pickled.

    Raises PolicyInvalid with every problem: syntax, no or doubled `@id`, no `@description`, a template.
    """
    problems: list[Problem] = []
    compiled: dict[str, CompiledPolicy] = {}
    for file in sorted(sources, key=_starter_first):
        try:
            pieces = list(split(file, sources[file]))
        except PolicyInvalid as error:
            problems += error.problems
            continue
        for piece in pieces:
            try:
                policy = _compile(piece)
                _check_unique(policy, piece, compiled)
            except PolicyInvalid as error:
                problems += error.problems
            else:
                compiled[policy.id] = policy
    if problems:
        raise PolicyInvalid(problems)
    return CompiledPolicies(digest=digest_of(sources), policies=tuple(compiled.values()))


def digest_of(sources: Mapping[str, str]) -> str:
    """The digest that names a policy set in events: SHA-256 over its files, sorted by name (RFC 8785 form)."""
    return canonical.sha256_hex(canonical.encode([[file, sources[file]] for file in sorted(sources)]))


def policy_set(policies: Iterable[tuple[str, str]]) -> cedarpy.PolicySet:
    """Make a handle of policies given as (id, Cedar JSON). Raises ValueError."""
    static = ",".join(f'"{id_}":{cedar_json}' for id_, cedar_json in policies)
    return cedarpy.PolicySet.from_json_str(f'{{"staticPolicies":{{{static}}},{_NO_TEMPLATES}}}')


def evaluate(request: dict[str, object], policies: cedarpy.PolicySet, entities: cedarpy.Entities) -> Verdict:
    """Ask Cedar. `request` names principal, action and resource as {type, id}, and holds `context` as JSON text."""
    result = cedarpy.is_authorized(request, policies, entities)
    errors = tuple(result.diagnostics.errors)
    decided = result.decision is not cedarpy.Decision.NoDecision
    return Verdict(
        permits=result.allowed and not errors,
        reasons=tuple(sorted(result.diagnostics.reasons)) if decided else (),
        errors=tuple(sorted({id_ for error in errors for id_ in _NAMED_IN_ERROR.findall(error)})) if decided else (),
        decided=decided and (not errors or all(_NAMED_IN_ERROR.search(error) for error in errors)),
    )


def _starter_first(file: str) -> tuple[bool, str]:
    return not file.startswith(STARTER_PREFIX), file


def _compile(piece: Piece) -> CompiledPolicy:
    tree = _parse_one(piece)
    annotations: dict[str, str] = tree.pop("annotations", None) or {}
    id_ = _checked_id(piece, annotations)
    cedar_json = _encode(tree)
    try:
        policy_set([(id_, cedar_json)])
        names = est.reads(tree)
        relaxes = tree["effect"] == "permit" and est.reads_arguments(names)
        relaxed = _encode(est.without_arguments(tree)) if relaxes else None
        elevations = est.elevations(tree)
    except (ValueError, RecursionError) as error:
        raise PolicyInvalid([_too_deep(piece)]) from error
    return CompiledPolicy(
        id=id_,
        description=_checked_description(piece, annotations),
        effect=tree["effect"],
        file=piece.file,
        line=piece.line,
        text=piece.text,
        principal=est.scope_key(tree["principal"]),
        actions=est.action_keys(tree["action"]),
        resource=est.scope_key(tree["resource"]),
        reads=names,
        roles=est.roles(tree),
        elevations=elevations,
        agents=est.agents(tree),
        reads_owner=est.reads_owner(tree),
        cedar_json=cedar_json,
        relaxed_json=relaxed,
    )


def _parse_one(piece: Piece) -> dict[str, Any]:
    try:
        parsed = msgspec.json.decode(cedarpy.policies_to_json_str(piece.text))
    except RecursionError as error:
        raise PolicyInvalid([_too_deep(piece)]) from error
    except ValueError as error:
        raise PolicyInvalid([locate(piece, str(error), cedarpy.policies_to_json_str)]) from error
    if parsed["templates"] or len(parsed["staticPolicies"]) != 1:
        message = "a template is not used here; expected a policy without ?principal and ?resource"
        raise PolicyInvalid([piece.problem(message, piece.token_like(["?"]))])
    (tree,) = parsed["staticPolicies"].values()
    return dict(tree)


def _checked_id(piece: Piece, annotations: Mapping[str, str]) -> str:
    id_ = annotations.get("id")
    if not id_:
        raise PolicyInvalid([piece.problem('the policy has no name; expected @id("…") before it')])
    if not _ID.fullmatch(id_):
        message = f"the id {id_!r} is not usable; expected up to 100 of A-Z a-z 0-9 . _ -, beginning with no sign"
        raise PolicyInvalid([piece.problem(message, piece.token_like([id_]))])
    if id_ in RESERVED_IDS:
        message = f"the id `{id_}` is what decisions without a policy are called; expected another"
        raise PolicyInvalid([piece.problem(message, piece.token_like([id_]))])
    return id_


def _checked_description(piece: Piece, annotations: Mapping[str, str]) -> str:
    description = (annotations.get("description") or "").strip()
    if not description:
        message = 'the policy does not say what it is for; expected @description("…") before it'
        raise PolicyInvalid([piece.problem(message)])
    return description


def _check_unique(policy: CompiledPolicy, piece: Piece, compiled: Mapping[str, CompiledPolicy]) -> None:
    other = compiled.get(policy.id)
    if other is not None:
        message = (
            f"the id `{policy.id}` is taken by another policy, at {other.file}:{other.line}; expected one of its own"
        )
        raise PolicyInvalid([piece.problem(message, piece.token_like([policy.id]))])


def _too_deep(piece: Piece) -> Problem:
    return piece.problem("the conditions are nested too deeply; expected at most 50 terms joined by one operator")


def _encode(tree: object) -> str:
    return msgspec.json.encode(tree).decode()
