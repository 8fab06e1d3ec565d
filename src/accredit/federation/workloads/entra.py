"""Microsoft Entra ID: the token of a managed identity or of an application, not of a person.

Its audience is the application that stands for Accredit there: name it as `audience`. A managed identity is given the
same token until it expires.
"""

import re

from accredit.federation.workload import Claims, WorkloadKind, equals, is_text, matches

_GUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def _is_of_issuer(value: object, _claims: Claims, issuer: str) -> bool:
    """The tenant stands in the issuer: a token of another tenant is signed by the same keys."""
    return isinstance(value, str) and bool(value) and value in issuer.split("/")


def _is_application(value: object, _claims: Claims, _issuer: str) -> bool:
    return value == "app"


def _never(_value: object, _claims: Claims, _issuer: str) -> bool:
    return False


KIND = WorkloadKind(
    issuer=re.compile(rf"https://login\.microsoftonline\.(com|us)/{_GUID}/v2\.0|https://sts\.windows\.net/{_GUID}/"),
    subject=re.compile(_GUID),
    example="the object id of the managed identity or service principal",
    required=frozenset({"iss", "sub", "aud", "exp", "iat", "tid", "oid"}),
    checks={
        "tid": _is_of_issuer,
        # In a token of an application `sub` is its object id; in a person's it is another for each application.
        "oid": equals("sub"),
        "idtyp": _is_application,
        # Delegated permissions: the token of a person.
        "scp": _never,
        "azp": matches(_GUID),
        "appid": matches(_GUID),
        "ver": is_text,
    },
    known=frozenset(
        {"aio", "appidacr", "azpacr", "idp", "rh", "roles", "uti", "wids", "xms_mirid", "xms_az_rid", "xms_ftd"}
    ),
    reusable=True,
    lifetime_seconds=93_600,
)
