"""How a request ends when it does not end well: refused, failed, cut short, or not understood."""

import asyncio
import contextlib

import msgspec

from accredit.errors import Error, NotPermitted, Unavailable
from accredit.gateway.downstream import AsgiDownstream
from accredit.gateway.lifeline import AGENT_ENDED, CLIENT_GONE, TOKEN_ENDED, TOKEN_EXPIRED, TOO_SLOW, Cut
from accredit.gateway.protocol import Call, Denial, Reply, Stamp
from accredit.gateway.release import Settled, Withdrawn
from accredit.gateway.routes import ForeignOrigin
from accredit.outbound.failures import UpstreamFailure, UpstreamTimeout
from accredit.policy.cedar import AGENT_STATUS
from accredit.policy.permit import Refusal, StepUp
from accredit.storage.writer import UsedBefore
from accredit.tokens.errors import InvalidToken, NonceNeeded, ProofInvalid
from accredit.web.bearer import Headers, scope_challenge
from accredit.web.problem import MEDIA_TYPE, describe

_FAREWELL_SECONDS = 2.0


class InsufficientScope(NotPermitted):
    """The token lacks a scope that its agent may have (RFC 6750 §3.1)."""

    code = "insufficient_scope"


async def refuse(downstream: AsgiDownstream, call: Call, decision: Refusal | StepUp, stamp: Stamp) -> None:
    """Answer a call that is not permitted."""
    kind = "step_up" if isinstance(decision, StepUp) else "deny"
    await downstream.reply(call.refuse(Denial(decision.reason, decision.next_step, stamp, kind)), stamp)


async def fail(downstream: AsgiDownstream, call: Call, failure: UpstreamFailure, release: Settled) -> None:
    """Tell the client of an upstream's failure: as a whole answer, or as the end of one that had begun."""
    try:
        stamp = await release()
    except Withdrawn as withdrawn:
        await refuse(downstream, call, withdrawn.decision, withdrawn.stamp)
        return
    if downstream.started:
        await _farewell(downstream, call.broken_off(failure, stamp))
    else:
        await downstream.reply(call.fail(failure, stamp), stamp)


async def end_early(downstream: AsgiDownstream, call: Call, cut: Cut, release: Settled) -> None:
    """Answer a request that was cut, if anybody is there to read it."""
    if cut.reason == CLIENT_GONE:
        return
    if cut.reason == TOO_SLOW:
        await fail(downstream, call, UpstreamTimeout("the system did not answer in time"), release)
    elif downstream.started:
        await _farewell(downstream, b"")
    elif cut.reason in (AGENT_ENDED, TOKEN_ENDED):
        await _refuse_ended(downstream, call, release, cut)
    elif cut.reason == TOKEN_EXPIRED:
        await give_up(downstream, InvalidToken("the token has expired", next_step="ask for a new one"))
    else:
        await give_up(downstream, Unavailable("the server is stopping", next_step="try again"))


async def give_up(downstream: AsgiDownstream, error: Error) -> None:
    """Answer with a problem document, or end what had begun."""
    if downstream.started:
        await _farewell(downstream, b"")
        return
    status = 403 if isinstance(error, ForeignOrigin) else describe(error).status
    await downstream.reply(_problem(error, status))


def unauthorized(error: InvalidToken, challenges: Headers) -> Reply:
    """401 with the challenges of RFC 6750 §3, RFC 9449 §7.1 and RFC 9728 §5.1."""
    nonce = ((b"dpop-nonce", error.nonce.encode()),) if isinstance(error, NonceNeeded) else ()
    return _problem(error, 401, *challenges, *nonce)


def used_before(used: UsedBefore) -> ProofInvalid:
    """What a proof is that was shown a second time (RFC 9449 §11.1)."""
    return ProofInvalid("the DPoP proof was used before", next_step="make a new one for each request", detail=used.code)


def lacks_scope(scope: str, event: int, metadata: str, scheme: str) -> Reply:
    """403 with the challenge that names the scope (RFC 6750 §3.1)."""
    explanation = f"the token lacks the scope {scope}"
    error = InsufficientScope(explanation, next_step=f"ask for a token with scope={scope}", event=event)
    return _problem(error, 403, (b"www-authenticate", scope_challenge(scope, metadata, scheme).encode()))


async def _refuse_ended(downstream: AsgiDownstream, call: Call, release: Settled, cut: Cut) -> None:
    try:
        stamp = await release()
    except Withdrawn as withdrawn:
        await refuse(downstream, call, withdrawn.decision, withdrawn.stamp)
        return
    ended = "the token was ended" if cut.reason == TOKEN_ENDED else "the agent was suspended or retired"
    denial = Denial(f"{ended} while the call ran", "ask the agent's owner", Stamp(stamp.event, (AGENT_STATUS,)))
    await downstream.reply(call.refuse(denial), stamp)


async def _farewell(downstream: AsgiDownstream, last: bytes) -> None:
    """End a stream that had begun. A client that does not read is not waited for."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_FAREWELL_SECONDS):
            if last:
                await downstream.write(last)
            await downstream.finish()


def _problem(error: Error, status: int, *headers: tuple[bytes, bytes]) -> Reply:
    """A problem document (RFC 9457), for what is answered before there is a message to answer to."""
    fixed = ((b"content-type", MEDIA_TYPE.encode()), (b"cache-control", b"no-store"))
    body = msgspec.json.encode(msgspec.structs.replace(describe(error), status=status))
    return Reply(status, (*fixed, *headers), body)
