"""A small installation with something to see: two systems, a few agents, and what they did."""

from sqlalchemy import update

from accredit.agents.new_agent import NewAgent
from accredit.audit.event import Actor
from accredit.audit.reading import LoggedEvent
from accredit.storage.schema import agents
from accredit.storage.writer import Tx
from tests.console.server import ConsoleServer
from tests.rooms import CRM

MAIL = """
name = "mail"
title = "Outgoing mail"
kind = "email"
protocol = "http"
upstream = "http://127.0.0.1:9001"
sensitivity = 1
data = ["personal"]

[[operations]]
action = "mail.messages.draft"
effect = "write"
method = "POST"
path = "/drafts"
scope = "mail:drafts.write"

[[operations]]
action = "mail.messages.delete"
effect = "delete"
sensitivity = 3
method = "DELETE"
path = "/messages/{id}"
scope = "mail:messages.delete"
"""

PLAIN = "hostile"
HOSTILE = "<img src=x onerror=alert(1)>\u202egpj.exe"


class Story:
    """What was put there, for tests to ask for."""

    def __init__(self, server: ConsoleServer) -> None:
        self.server = server
        self.agents = server.call(self._register)
        self.permitted, self.refused, self.outcome = self._work()

    async def _register(self) -> dict[str, str]:
        rooms = self.server.rooms
        administrator = await rooms.people.administrator()
        actor = Actor(person=administrator.id, authentication="management_token")
        await rooms.systems.add(CRM, "crm.toml", actor)
        await rooms.systems.add(MAIL, "mail.toml", actor)
        made: dict[str, str] = {}
        for name, role, systems in (
            ("lead-scout", "ai-agent-operator", ("crm", "mail")),
            ("support-triage", "ai-agent-readonly", ("crm",)),
            ("stock-planner", "ai-agent-readonly", ()),
            (PLAIN, "ai-agent-readonly", ("mail",)),
        ):
            agent = await rooms.agents.create(
                NewAgent(name=name, owner=administrator.email, type="worker", roles=(role,), systems=systems),
                actor,
            )
            made[name] = agent.id
        # The register refuses such a name; a page must bear one all the same, whichever way it came.
        made[HOSTILE] = hostile = made.pop(PLAIN)

        def rename(tx: Tx) -> None:
            tx.connection.execute(update(agents).where(agents.c.id == hostile).values(name=HOSTILE))
            tx.changed("agent", hostile)

        await rooms.transactions.change(rename)
        await rooms.agents.add_client_secret("lead-scout", actor)
        await rooms.agents.suspend("stock-planner", actor)
        return made

    def _work(self) -> tuple[int, int, int]:
        permitted = refused = outcome = -1
        policy_set = "sha256:8b1f22f0c1d2a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c"
        for name, agent in self.agents.items():
            if name == "stock-planner":
                continue
            who = {
                "agent": agent,
                "agent_name": name,
                "authentication": "client_secret_basic",
                "policy_set": policy_set,
            }
            self.server.record(
                "token.issued",
                **who,
                action="token.issue",
                system="crm",
                decision="permit",
                policies=("agents-get-tokens",),
            )
            self.server.clock.move(1.3)
            permitted = self.server.record(
                "call.decided",
                **who,
                token_id="tok_01K9XQ5W3M7T2V8N4B6C0D1E5F",
                action="crm.contacts.search",
                system="crm",
                resource="search_contacts",
                decision="permit",
                policies=("ai-agent-readonly",),
            )
            decision = self.server.call(lambda seq=permitted: self.server.log.event(seq))  # type: ignore[misc]
            assert isinstance(decision, LoggedEvent)
            self.server.clock.move(0.2)
            outcome = self.server.record(
                "call.finished",
                **who,
                action="crm.contacts.search",
                system="crm",
                of=decision.event.id,
                outcome="ok",
                latency_ms=11.625,
            )
            self.server.clock.move(2)
            refused = self.server.record(
                "call.decided",
                **who,
                action="crm.contacts.create",
                system="crm",
                resource="create_contact",
                decision="deny",
                policies=("default-deny",),
                reason="no policy permits crm.contacts.create; ai-agent-operator would",
            )
            self.server.clock.move(40)
        self.server.record(
            "call.decided",
            agent=self.agents["lead-scout"],
            agent_name="lead-scout",
            authentication="private_key_jwt",
            action="mail.messages.delete",
            system="mail",
            decision="step_up",
            policies=("critical-needs-a-person",),
            reason="a person has to approve it",
        )
        return permitted, refused, outcome
