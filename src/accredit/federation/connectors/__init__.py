"""The kinds of providers: one file and one line each."""

import importlib
from collections.abc import Mapping

from accredit.federation.configuration import Configuration, OidcProvider
from accredit.federation.connector import LoginConnector, MakeConnector, Parts
from accredit.federation.connectors.oidc import OidcConnector
from accredit.federation.errors import ExtraMissing, ProviderInvalid


def _oidc(configuration: Configuration, secret: str | None, parts: Parts) -> LoginConnector:
    if not isinstance(configuration, OidcProvider):
        raise ProviderInvalid("this is no OpenID Connect provider")
    return OidcConnector(configuration, secret, parts)


def _saml(configuration: Configuration, secret: str | None, parts: Parts) -> LoginConnector:
    # By name: its library is an extra, looked for only where such a provider is configured.
    try:
        module = importlib.import_module("accredit.federation.connectors.saml")
    except ImportError as error:
        raise ExtraMissing(
            "SAML needs an extra that is not installed on this server",
            next_step="install accredit[saml] there, and start the server again",
            detail=repr(error),
        ) from error
    made: LoginConnector = module.make(configuration, secret, parts)
    return made


CONNECTORS: Mapping[str, MakeConnector] = {"oidc": _oidc, "saml": _saml}
