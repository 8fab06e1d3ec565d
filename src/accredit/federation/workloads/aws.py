"""AWS: the token of a role from `sts:GetWebIdentityToken` (outbound identity federation). Each call gives a new one."""

import re

from accredit.federation.workload import Claims, WorkloadKind

DETAILS = "https://sts.amazonaws.com/"
_SUBJECT = re.compile(r"arn:aws[a-z-]*:iam::([0-9]{12}):[\x21-\x7e]{1,512}")


def _is_of_account(value: object, claims: Claims, _issuer: str) -> bool:
    """The object of the claim names the account of the role that `sub` names."""
    found = _SUBJECT.fullmatch(str(claims["sub"]))
    return found is not None and isinstance(value, dict) and value["aws_account"] == found[1]


KIND = WorkloadKind(
    issuer=re.compile(r"https://[A-Za-z0-9-]{1,63}\.tokens\.sts\.global\.api\.aws"),
    subject=_SUBJECT,
    example="arn:aws:iam::123456789012:role/NAME",
    required=frozenset({"iss", "sub", "aud", "exp", "iat", "jti", DETAILS}),
    checks={DETAILS: _is_of_account},
    known=frozenset(),
    reusable=False,
    lifetime_seconds=3_600,
)
