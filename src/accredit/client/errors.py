"""What the SDK raises: one base, one class a reason, each with what to do next.

ClientError:
    ├── Misconfigured        what the program gave the SDK cannot work
    ├── DiscoveryFailed      the metadata is absent, malformed or not to be trusted
    ├── AuthorizationFailed  the person's part, in the browser, did not end well
    ├── Unavailable          a server does not answer; trying again may help
    ├── Denied               the answer is no
    │   └── CredentialRefused    the proof of who asks, or the grant, was not accepted
    ├── ApprovalRequired     the answer is yes once a person approves
    └── StepUpRequired       the answer is yes after a fresher or stronger sign-in, or with more scope

No error holds a token, a secret, or the text of a request.
"""


class ClientError(Exception):
    """What went wrong, what to do next, and where there is one, the number of the event in Accredit's log.

    `code` is the protocol's own word for it (RFC 6749 §5.2 and its registry), or "".
    """

    def __init__(self, explanation: str, *, next_step: str = "", code: str = "", event: int | None = None) -> None:
        super().__init__(explanation)
        self.explanation = explanation
        self.next_step = next_step
        self.code = code
        self.event = event

    def __str__(self) -> str:
        parts = [self.explanation]
        if self.code:
            parts.append(f"({self.code})")
        if self.next_step:
            parts.append(f"- {self.next_step}")
        if self.event is not None:
            parts.append(f"[event {self.event}]")
        return " ".join(parts)


class Misconfigured(ClientError):
    """What the program gave the SDK cannot work; nothing was sent."""


class DiscoveryFailed(ClientError):
    """The metadata of the resource or of its authorization server is absent, malformed or not to be trusted."""


class AuthorizationFailed(ClientError):
    """The person's part of the code flow did not end well: no answer, or one that is not to be trusted."""


class Unavailable(ClientError):
    """A server does not answer, or says that it cannot now. Trying again later may help.

    `retry_after_seconds` is when, where the server says so.
    """

    def __init__(
        self,
        explanation: str,
        *,
        next_step: str = "",
        code: str = "",
        event: int | None = None,
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(explanation, next_step=next_step, code=code, event=event)
        self.retry_after_seconds = retry_after_seconds


class Denied(ClientError):
    """No. `policies` are the ids of the policies that decided, where the answer names them."""

    def __init__(
        self,
        explanation: str,
        *,
        next_step: str = "",
        code: str = "",
        event: int | None = None,
        policies: tuple[str, ...] = (),
    ) -> None:
        super().__init__(explanation, next_step=next_step, code=code, event=event)
        self.policies = policies


class CredentialRefused(Denied):
    """The client's proof, its grant, or a token that was just issued, was not accepted."""


class ApprovalRequired(ClientError):
    """A person has to approve first. `approval` is the request's id, where the answer names one."""

    def __init__(
        self,
        explanation: str,
        *,
        next_step: str = "",
        code: str = "",
        event: int | None = None,
        policies: tuple[str, ...] = (),
        approval: str | None = None,
    ) -> None:
        super().__init__(explanation, next_step=next_step, code=code, event=event)
        self.policies = policies
        self.approval = approval


class StepUpRequired(ClientError):
    """More is needed than the token shows (RFC 9470, RFC 6750 §3.1).

    `scope` is what the call needs, `acr_values` the kinds of sign-in that would do, in order of preference, and
    `max_age_seconds` how old the sign-in may be.
    """

    def __init__(
        self,
        explanation: str,
        *,
        next_step: str = "",
        code: str = "",
        event: int | None = None,
        policies: tuple[str, ...] = (),
        scope: tuple[str, ...] = (),
        acr_values: tuple[str, ...] = (),
        max_age_seconds: int | None = None,
    ) -> None:
        super().__init__(explanation, next_step=next_step, code=code, event=event)
        self.policies = policies
        self.scope = scope
        self.acr_values = acr_values
        self.max_age_seconds = max_age_seconds
