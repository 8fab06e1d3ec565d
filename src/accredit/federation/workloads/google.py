"""Google Cloud: the ID token of a service account, from the metadata server. It is given out again until it expires."""

import re

from accredit.federation.workload import Claims, WorkloadKind, equals


def _is_service_account(value: object, _claims: Claims, _issuer: str) -> bool:
    """A person's account has an address of another kind, and could be the subject as well."""
    return isinstance(value, str) and value.endswith(".gserviceaccount.com")


def _is_true(value: object, _claims: Claims, _issuer: str) -> bool:
    return value is True


KIND = WorkloadKind(
    issuer=re.compile(r"https://accounts\.google\.com"),
    subject=re.compile(r"[0-9]{1,32}"),
    example="the unique id of the service account, a number",
    required=frozenset({"iss", "sub", "aud", "exp", "iat", "email", "email_verified"}),
    checks={"email": _is_service_account, "email_verified": _is_true, "azp": equals("sub")},
    known=frozenset({"google"}),
    reusable=True,
    lifetime_seconds=3_600,
)
