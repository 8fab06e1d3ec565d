"""What the endpoints of the authorization server are made of."""

from collections.abc import Callable
from dataclasses import dataclass

from accredit.agents.registry import Agents
from accredit.agents.revocations import Revocations
from accredit.audit.group import Group
from accredit.clock import Clock
from accredit.delegations.register import Delegations
from accredit.federation.trust import Trust
from accredit.ids import NewId
from accredit.keys.keyring import Keyring
from accredit.keys.seal import Sealer
from accredit.oauth.client_documents import ClientDocuments
from accredit.oauth.issuance import Issuance
from accredit.oauth.pending import PendingAuthorizations
from accredit.oauth.resources import Resources
from accredit.outbound.guarded import Guarded
from accredit.people.directory import People
from accredit.policy.decide import Policy
from accredit.policy.settle import Settlement
from accredit.settings import Settings
from accredit.storage.outbox import Outbox
from accredit.storage.transactions import Transactions
from accredit.systems.registry import Systems
from accredit.tokens.binding import Binding
from accredit.tokens.dpop import Nonces
from accredit.tokens.ending import TokenEnding
from accredit.tokens.identity import IdTokens
from accredit.tokens.issue import Issuer
from accredit.tokens.refresh import RefreshTokens
from accredit.tokens.statuses import Statuses
from accredit.tokens.verify import Verifier
from accredit.web.bearer import Bearer
from accredit.web.certificates import ClientCertificates


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuthRooms:
    """The rooms below, opened once by `app`; each table of this room picks from it what its rows need."""

    settings: Settings
    issuer: str
    clock: Clock
    new_id: NewId
    keyring: Keyring
    transactions: Transactions
    group: Group
    people: People
    systems: Systems
    agents: Agents
    revocations: Revocations
    delegations: Delegations
    hash_secret: Callable[[str], bytes]
    policy: Policy
    settlement: Settlement
    resources: Resources
    issuance: Issuance
    signing: Issuer
    verifier: Verifier
    binding: Binding
    statuses: Statuses | None
    token_ending: TokenEnding
    certificates: ClientCertificates
    bearer: Bearer
    refresh_tokens: RefreshTokens
    id_tokens: IdTokens
    client_documents: ClientDocuments
    guarded: Guarded
    trust: Trust
    pending: PendingAuthorizations
    outbox: Outbox


def open_oauth_rooms(
    *,
    settings: Settings,
    clock: Clock,
    new_id: NewId,
    keyring: Keyring,
    transactions: Transactions,
    group: Group,
    people: People,
    systems: Systems,
    agents: Agents,
    revocations: Revocations,
    delegations: Delegations,
    hash_secret: Callable[[str], bytes],
    policy: Policy,
    settlement: Settlement,
    guarded: Guarded,
    trust: Trust,
    outbox: Outbox,
) -> OAuthRooms:
    """Put what issues and verifies tokens on top of the rooms below."""
    issuer = settings.issuer
    resources = Resources(issuer, systems)
    required = settings.sender_constrained
    binding = Binding(clock, Nonces(keyring.nonce, clock) if settings.dpop_nonces else None, required=required)
    certificates = ClientCertificates(settings.client_certificate_header, settings.trusted_proxies)
    verifier = Verifier(issuer, keyring, agents, revocations, binding, clock)
    refresh_tokens = RefreshTokens(Sealer(keyring.refresh_token))
    statuses = Statuses(transactions, clock, issuer, settings.access_token_seconds) if settings.token_status else None
    give_status = None if statuses is None else statuses.give
    signing = Issuer(issuer, keyring, clock, settings.access_token_seconds, give_status)

    async def is_registered(client_id: str) -> bool:
        return await agents.of_client(client_id) is not None

    return OAuthRooms(
        settings=settings,
        issuer=issuer,
        clock=clock,
        new_id=new_id,
        keyring=keyring,
        transactions=transactions,
        group=group,
        people=people,
        systems=systems,
        agents=agents,
        revocations=revocations,
        delegations=delegations,
        hash_secret=hash_secret,
        policy=policy,
        settlement=settlement,
        resources=resources,
        issuance=Issuance(policy, signing, resources, new_id, sender_constrained=required),
        signing=signing,
        verifier=verifier,
        binding=binding,
        statuses=statuses,
        token_ending=TokenEnding(verifier, refresh_tokens, revocations, transactions, clock),
        certificates=certificates,
        bearer=Bearer(verifier, issuer, certificates, binding.nonces, required=required),
        refresh_tokens=refresh_tokens,
        id_tokens=IdTokens(issuer, keyring, clock, new_id),
        client_documents=ClientDocuments(guarded, clock, settings.client_metadata_hosts, is_registered),
        guarded=guarded,
        trust=trust,
        pending=PendingAuthorizations(transactions, clock, new_id, Sealer(keyring.authorization)),
        outbox=outbox,
    )
