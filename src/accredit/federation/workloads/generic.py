"""Any other issuer of JWTs (RFC 7523 §3): nothing is known of its claims, and each token is used once."""

import re

from accredit.federation.workload import WorkloadKind

KIND = WorkloadKind(
    issuer=re.compile(r"https?://.+"),
    subject=re.compile(r"[\x20-\x7e]{1,512}"),
    example="the `sub` of the issuer's tokens",
    required=frozenset({"iss", "sub", "aud", "exp", "iat", "jti"}),
    checks={},
    known=None,
    reusable=False,
    lifetime_seconds=3_600,
)
