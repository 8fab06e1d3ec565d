"""SPIFFE: a JWT-SVID (SPIFFE JWT-SVID §3), whose `sub` is the SPIFFE ID; `iss` need not be there.

The Workload API hands the same document out until half of its life is over.
"""

import re

from accredit.federation.workload import Claims, WorkloadKind

# SPIFFE-ID §2: a trust domain, and a path whose segments are neither empty nor dots.
_SUBJECT = re.compile(r"(spiffe://[a-z0-9._-]{1,255})(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._-]+)+")


def _is_of_trust_domain(value: object, _claims: Claims, issuer: str) -> bool:
    found = _SUBJECT.fullmatch(str(value))
    return found is not None and found[1] == issuer


KIND = WorkloadKind(
    issuer=re.compile(r"spiffe://[a-z0-9._-]{1,255}"),
    subject=_SUBJECT,
    example="spiffe://example.org/ns/prod/sa/scout",
    required=frozenset({"sub", "aud", "exp"}),
    checks={"sub": _is_of_trust_domain},
    known=frozenset(),
    reusable=True,
    lifetime_seconds=3_600,
    types=frozenset({None, "JWT", "JOSE"}),
)
