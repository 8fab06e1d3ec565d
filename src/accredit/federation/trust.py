"""Whose word is taken about workloads and people, put together."""

from dataclasses import dataclass

from accredit.agents.registry import Agents
from accredit.clock import Clock
from accredit.federation.asking import Asking
from accredit.federation.assertions import Assertions
from accredit.federation.issuers import TrustedIssuers
from accredit.federation.jwks_cache import JwksCache
from accredit.ids import NewId
from accredit.outbound import Outbound
from accredit.people.identities import Identities
from accredit.storage.feed import Feed
from accredit.storage.transactions import Transactions


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """The register, what checks assertions by it, and the people that issuers vouch for."""

    issuers: TrustedIssuers
    assertions: Assertions
    identities: Identities


def open_trust(
    *,
    transactions: Transactions,
    feed: Feed,
    agents: Agents,
    clock: Clock,
    new_id: NewId,
    outbound: Outbound,
    own_issuer: str,
) -> Trust:
    """The parts, put together. Nothing is asked of anybody before the first assertion comes."""
    issuers = TrustedIssuers(transactions, feed, agents, clock, new_id, own_issuer)
    cache = JwksCache(Asking(outbound).document, clock)
    return Trust(
        issuers=issuers,
        assertions=Assertions(issuers, agents, cache, clock, own_issuer),
        identities=Identities(transactions, clock, new_id),
    )
