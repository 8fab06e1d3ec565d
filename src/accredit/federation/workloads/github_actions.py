"""GitHub Actions: the ID token of a job. Each request gives a new one.

Names can be given up and taken by somebody else; ids cannot. So a credential names an id beside the subject.
"""

import re

from accredit.federation.workload import Claims, WorkloadKind, is_text, matches

_NUMBER = matches(r"[0-9]{1,20}")


def _is_of_owner(value: object, claims: Claims, _issuer: str) -> bool:
    return isinstance(value, str) and value.count("/") == 1 and value.split("/")[0] == claims["repository_owner"]


KIND = WorkloadKind(
    # GitHub itself, an enterprise's own address there, or an Enterprise Server.
    issuer=re.compile(
        r"https://token\.actions\.githubusercontent\.com(/[A-Za-z0-9-]{1,64})?|https://[a-z0-9.-]{1,253}/_services/token"
    ),
    subject=re.compile(r"[\x21-\x7e]{1,512}"),
    example="repo:OWNER/NAME:ref:refs/heads/main",
    required=frozenset(
        {"iss", "sub", "aud", "exp", "iat", "jti", "repository", "repository_id", "repository_owner"}
        | {"repository_owner_id", "run_id", "event_name", "workflow_ref"}
    ),
    checks={
        "repository": _is_of_owner,
        "repository_owner": is_text,
        "repository_id": _NUMBER,
        "repository_owner_id": _NUMBER,
        "workflow_ref": is_text,
    },
    known=frozenset(
        {"actor", "actor_id", "base_ref", "check_run_id", "enterprise", "enterprise_id", "environment"}
        | {"environment_node_id", "head_ref", "issuer_scope", "job_workflow_ref", "job_workflow_sha", "ref"}
        | {"ref_protected", "ref_type", "repository_visibility", "run_attempt", "run_number", "runner_environment"}
        | {"sha", "workflow", "workflow_sha"}
    ),
    reusable=False,
    lifetime_seconds=900,
    pins=("repository_id", "repository_owner_id"),
)
