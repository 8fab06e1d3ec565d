"""`/api/v1/trusted-issuers`: whose word is taken about workloads and people, and who takes ours."""

from typing import Annotated

import msgspec

from accredit.api.endpoint import AnyEndpoint, Call, Endpoint
from accredit.api.parsing import Nothing
from accredit.federation.issuer_configuration import TrustedIssuer
from accredit.federation.issuers import TrustedIssuers

_FileName = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]*$")]


class IssuerInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An issuer's description (TOML). `file` is its name, for messages; with `replace` it takes the old one's place."""

    configuration: str
    file: _FileName = "issuer"
    replace: bool = False


class IssuerView(msgspec.Struct, frozen=True, kw_only=True):
    """An issuer. `subject` shows how a workload's subject is written there; null if it has no workloads."""

    configuration: TrustedIssuer
    subject: str | None


class IssuerList(msgspec.Struct, frozen=True, kw_only=True):
    """Every issuer, by name."""

    issuers: tuple[IssuerView, ...]


class TrustedIssuerEndpoints:
    """What can be done with trusted issuers."""

    def __init__(self, issuers: TrustedIssuers) -> None:
        self._issuers = issuers

    def endpoints(self) -> tuple[AnyEndpoint, ...]:
        """The rows of the table."""
        return (
            Endpoint(
                method="POST",
                path="/api/v1/trusted-issuers",
                summary="Trust an issuer of workloads' tokens or of identity assertions, or list who takes ours",
                act=self._add,
                body=IssuerInput,
                query=Nothing,
                answer=IssuerView,
                status=201,
            ),
            Endpoint(
                method="GET",
                path="/api/v1/trusted-issuers",
                summary="List trusted issuers by name",
                act=self._list,
                body=Nothing,
                query=Nothing,
                answer=IssuerList,
            ),
            Endpoint(
                method="GET",
                path="/api/v1/trusted-issuers/{issuer}",
                summary="Show a trusted issuer",
                act=self._show,
                body=Nothing,
                query=Nothing,
                answer=IssuerView,
            ),
            Endpoint(
                method="DELETE",
                path="/api/v1/trusted-issuers/{issuer}",
                summary="Trust an issuer no more; tokens that were given on its word live on to their end",
                act=self._remove,
                body=Nothing,
                query=Nothing,
                answer=None,
                status=204,
            ),
        )

    async def _add(self, call: Call[IssuerInput, Nothing]) -> IssuerView:
        sent = call.body
        return _view(await self._issuers.add(sent.configuration, sent.file, call.actor, replace=sent.replace))

    async def _list(self, call: Call[Nothing, Nothing]) -> IssuerList:
        del call
        return IssuerList(issuers=tuple(_view(one) for one in await self._issuers.all()))

    async def _show(self, call: Call[Nothing, Nothing]) -> IssuerView:
        return _view(await self._issuers.named(call.path["issuer"]))

    async def _remove(self, call: Call[Nothing, Nothing]) -> None:
        await self._issuers.remove(call.path["issuer"], call.actor)


def _view(one: TrustedIssuer) -> IssuerView:
    kind = one.workload()
    return IssuerView(configuration=one, subject=None if kind is None else kind.example)
