"""What a provider says of a person → Identity: which words are taken, and which roles its groups give."""

from collections.abc import Mapping, Sequence

from accredit.errors import InputRefused
from accredit.federation.configuration import Configuration
from accredit.people.directory import normal_email
from accredit.people.identities import Identity

_NAME_LIMIT = 200
# A JSON true, and what providers that only have texts write for it.
_TRUE = (True, "true", "1")


def identity_of(
    configuration: Configuration,
    authentication: str,
    subject: str,
    claims: Mapping[str, object],
    email_verified: bool | None = None,
) -> Identity:
    """Whom the provider vouches for. `email_verified` is given where the kind of provider itself settles that.

    An address counts as proven only if the provider says that it verified it and is authoritative for its domain:
    elsewhere people can give themselves any address (`nOAuth`).
    """
    names = configuration.claims
    email = _email(claims.get(names.email))
    verified = claims.get(names.email_verified) in _TRUE if email_verified is None else email_verified
    domain = (email or "").rpartition("@")[2]
    name = claims.get(names.name)
    return Identity(
        issuer=configuration.key(),
        subject=subject,
        email=email,
        email_is_proven=email is not None and verified and domain in configuration.authoritative_domains,
        name=name[:_NAME_LIMIT] if isinstance(name, str) and name.isprintable() else "",
        roles=roles_of(configuration.roles, texts(claims.get(names.groups))),
        authentication=authentication,
        create=configuration.create_people,
    )


def roles_of(mapping: Mapping[str, Sequence[str]], groups: Sequence[str]) -> tuple[str, ...]:
    """The roles that these groups give, each once."""
    return tuple(sorted({role for group in groups for role in mapping.get(group, ())}))


def texts(value: object) -> tuple[str, ...]:
    """The texts of a claim that is a text or a list; whatever else it holds is passed over."""
    if isinstance(value, str):
        return (value,)
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list | tuple) else ()


def _email(value: object) -> str | None:
    try:
        return normal_email(value) if isinstance(value, str) else None
    except InputRefused:
        return None
