"""Why a sign-on did not come about. What a provider said stands in `detail`, which never leaves the process."""

from accredit.errors import InputRefused, NotAuthenticated, Unavailable


class ProviderInvalid(InputRefused):
    """The description of a provider is not as `docs/sign-on.md` says; nothing was changed."""

    code = "provider_invalid"


class SignOnRefused(NotAuthenticated):
    """The provider's answer does not prove who the person is, or nobody is to be let in by it."""

    code = "sign_on_refused"


class SignatureRefused(NotAuthenticated):
    """A signed text is malformed, or not signed by a key of its issuer with an algorithm that we allow."""

    code = "signature_refused"


class ProviderFailed(Unavailable):
    """The provider cannot be reached, or answers what the protocol does not allow."""

    code = "provider_failed"


class ExtraMissing(Unavailable):
    """A kind of provider needs an extra of the package that is not installed here."""

    code = "extra_missing"


def refused(detail: str, explanation: str = "the provider's answer does not prove who you are") -> SignOnRefused:
    """One text for every fault of an answer: what exactly is wrong is for the log."""
    return SignOnRefused(explanation, next_step="start again from the sign-in page", detail=detail)
