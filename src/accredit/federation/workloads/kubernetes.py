"""Kubernetes service accounts: projected tokens of a pod (KEP-1205, KEP-1393).

The kubelet writes one token into the pod and changes it when four fifths of its life are over, so a pod shows the same
one many times.
"""

import re

from accredit.federation.workload import Claims, WorkloadKind

_SUBJECT = re.compile(
    r"system:serviceaccount:([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?):([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?)"
)


def _is_of_subject(value: object, claims: Claims, _issuer: str) -> bool:
    """The object of the claim names the very account that `sub` does, and its uid."""
    found = _SUBJECT.fullmatch(str(claims["sub"]))
    if found is None or not isinstance(value, dict):
        return False
    account = value["serviceaccount"]
    return value["namespace"] == found[1] and account["name"] == found[3] and bool(account["uid"])


KIND = WorkloadKind(
    issuer=re.compile(r"https?://.+"),
    subject=_SUBJECT,
    example="system:serviceaccount:NAMESPACE:NAME",
    # The tokens of Secrets, which never expire, hold neither `exp` nor this object.
    required=frozenset({"iss", "sub", "aud", "exp", "iat", "kubernetes.io"}),
    checks={"kubernetes.io": _is_of_subject},
    known=frozenset(),
    reusable=True,
    lifetime_seconds=86_400,
    types=frozenset({None}),
)
