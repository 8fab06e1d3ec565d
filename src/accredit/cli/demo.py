"""`accredit demo`, which is what `make demo` runs: the main job, end to end, on a real server and a real MCP server."""

import json
import shutil
from pathlib import Path

import click
import httpx2
import msgspec
from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from accredit.audit.checkpoint import parse_vkey
from accredit.audit.group import commit_to, entry_of
from accredit.audit.proof import check_proof, parse_proof
from accredit.cli.demo_processes import Stage, choose_port, repository
from accredit.cli.render import json_option, plain, write_json

AGENT = "lead-scout"
OWNER = "ana.weber@example.com"
_SHOWN_LINES = 8


class _System(msgspec.Struct):
    name: str
    operations: list[msgspec.Raw]


class _Agent(msgspec.Struct):
    id: str
    client_id: str
    name: str


class _Credential(msgspec.Struct):
    client_secret: str


class _Meta(msgspec.Struct):
    event: int = msgspec.field(name="accredit/event", default=-1)


class _Step(msgspec.Struct):
    """One line of the example agent; each step has some of these."""

    step: str
    scope: str = ""
    expires_in: int = 0
    names: list[str] = []
    tool: str = ""
    refused: bool = False
    text: str = ""
    meta: _Meta = msgspec.field(default_factory=_Meta)


class _Event(msgspec.Struct):
    seq: int
    time: str
    agent_name: str
    action: str
    decision: str
    policies: list[str]


class _Proved(msgspec.Struct):
    event: msgspec.Raw
    nonce: bytes
    proof: str


class _Report(msgspec.Struct):
    events: int


class Narrator:
    """Says what happens, on a terminal or in a pipe; silent when JSON is asked for."""

    def __init__(self, *, silent: bool) -> None:
        self._console = Console(quiet=silent, highlight=False)
        self._number = 0
        self.steps: list[dict[str, object]] = []

    def step(self, title: str, command: str = "") -> None:
        """A numbered step, and the command that a person would type for it."""
        self._number += 1
        self._console.print()
        self._console.print(Text.assemble((f"{self._number}. ", "bold cyan"), (title, "bold")), soft_wrap=True)
        if command:
            self._console.print(Text(f"   $ {command}", style="dim"), soft_wrap=True)

    def say(self, text: str, style: str = "") -> None:
        """What came of it."""
        for line in plain(text).splitlines():
            self._console.print(Text(f"   {line}", style=style), soft_wrap=True)

    def result(self, **members: object) -> None:
        """Keep a result for `--json`."""
        self.steps.append(members)

    def end(self, text: str) -> None:
        """The last word."""
        self._console.print()
        self._console.print(Panel(text, border_style="green", expand=False))


@click.command()
@click.option("--keep", is_flag=True, help="Leave the server and the CRM running.")
@json_option
def demo(*, keep: bool, as_json: bool) -> None:
    """Watch an agent get an identity, a token, a permitted call, a refused one, and a proof of both."""
    root = repository()
    narrator = Narrator(silent=as_json)
    port, taken = choose_port()
    if taken:
        narrator.say(f"Port 8400 is taken by another process. The demo uses port {port} instead.", "yellow")
    folder = root / "build" / "demo" / str(port)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    stage = Stage(root=root, folder=folder, port=port)
    try:
        _play(stage, narrator)
        if as_json:
            console = _console_address(stage) if keep else f"{stage.issuer}/console"
            write_json({"url": stage.issuer, "console": console, "steps": narrator.steps})
        _say_goodbye(stage, narrator, keep=keep)
    except BaseException:
        keep = False
        raise
    finally:
        if not keep:
            stage.stop()


def _play(stage: Stage, narrator: Narrator) -> None:
    _start(stage, narrator)
    agent, secret_file = _register(stage, narrator)
    permitted, refused = _act(stage, narrator, agent, secret_file)
    _read_log(stage, narrator, permitted, refused)
    for event in (permitted, refused):
        _prove(stage, narrator, event)
    _verify(stage, narrator)


def _start(stage: Stage, narrator: Narrator) -> None:
    narrator.step("Start Accredit on an empty folder, and a small CRM that speaks MCP", "accredit serve")
    stage.start_server()
    upstream = stage.start_crm()
    narrator.say(f"Accredit is at {stage.issuer}; the CRM is at {upstream}, and knows nothing of agents.")

    manifest = (stage.root / "examples" / "crm" / "crm.toml").read_text()
    own = stage.folder / "crm.toml"
    own.write_text(manifest.replace("http://127.0.0.1:9000/mcp", upstream))
    narrator.step("Put the CRM behind the gateway", "accredit system add crm.toml")
    system = stage.command(_System, "system", "add", str(own))
    count = len(system.operations)
    narrator.say(f"{count} operations, each with its effect and sensitivity. Agents reach it only here.")
    narrator.result(step="system", name=system.name)


def _register(stage: Stage, narrator: Narrator) -> tuple[_Agent, Path]:
    options = ("--owner", OWNER, "--role", "ai-agent-readonly", "--system", "crm")
    narrator.step("Register an agent and its owner", " ".join(("accredit agent create", AGENT, *options)))
    agent = stage.command(_Agent, "agent", "create", AGENT, *options)
    narrator.say(f"{agent.name} is {agent.id}, owned by {OWNER}. It may read the CRM, and nothing else.")
    narrator.step("Give it a credential", f"accredit agent credential add {AGENT} --kind client_secret")
    credential = stage.command(_Credential, "agent", "credential", "add", AGENT, "--kind", "client_secret")
    secret_file = stage.folder / "agent.secret"
    secret_file.touch(mode=0o600)
    secret_file.write_text(credential.client_secret)
    narrator.say("A secret of 256 random bits, shown once; Accredit keeps a keyed hash.")
    narrator.result(step="agent", id=agent.id, name=agent.name)
    return agent, secret_file


def _act(stage: Stage, narrator: Narrator, agent: _Agent, secret_file: Path) -> tuple[int, int]:
    create = {"name": "Eve Example", "email": "eve@example.com", "company": "Example"}
    steps = stage.agent(
        _Step,
        *("--issuer", stage.issuer, "--client-id", agent.client_id, "--secret-file", str(secret_file)),
        *("--system", "crm", "--call", "search_contacts", json.dumps({"query": "ama", "limit": 2})),
        *("--call", "create_contact", json.dumps(create)),
    )
    token, tools, permitted, refused = steps
    narrator.step("The agent asks for a token as itself (OAuth client_credentials)", "python -m examples.agent.agent …")
    narrator.say(f"Valid {token.expires_in} s, for the CRM only, scope: {token.scope}")
    narrator.result(step="token", scope=token.scope, expires_in=token.expires_in)
    narrator.step("It asks the CRM for its tools, through the gateway (MCP tools/list)")
    narrator.say("It sees what policy could permit it: " + ", ".join(tools.names))
    narrator.result(step="tools", names=tools.names)
    narrator.step("It calls search_contacts: permitted")
    narrator.say(_shortened(permitted.text), "green")
    narrator.result(step="call", tool=permitted.tool, refused=permitted.refused)
    narrator.step("It calls create_contact, a write: refused by policy, and the CRM never hears of it")
    narrator.say(refused.text, "red")
    narrator.result(step="call", tool=refused.tool, refused=refused.refused)
    return permitted.meta.event, refused.meta.event


def _read_log(stage: Stage, narrator: Narrator, permitted: int, refused: int) -> None:
    narrator.step("Both decisions are in the log", f"accredit audit show {permitted}; accredit audit show {refused}")
    for seq in (permitted, refused):
        event = stage.command(_Event, "audit", "show", str(seq))
        style = "green" if event.decision == "permit" else "red"
        members = (event.time, event.agent_name, event.action, event.decision, "by " + ", ".join(event.policies))
        narrator.say(f"event {seq}  " + "  ".join(members), style)
        narrator.result(step="event", **msgspec.structs.asdict(event))


def _prove(stage: Stage, narrator: Narrator, seq: int) -> None:
    narrator.step(f"Prove event {seq} against the signed checkpoint", f"accredit audit prove {seq}")
    proved = stage.command(_Proved, "audit", "prove", str(seq))
    answer = httpx2.get(f"{stage.issuer}/audit/key", timeout=5.0, trust_env=False)
    keys = [parse_vkey(line) for line in answer.text.splitlines()]
    # The event as it was shown must be what the entry commits to, and the entry must be in the signed tree.
    entry = entry_of(commit_to(proved.nonce, bytes(proved.event)))
    proof = parse_proof(proved.proof)
    checkpoint = check_proof(proof, entry, keys)
    narrator.say(
        f"✓ event {seq} is entry {proof.index} of the {checkpoint.size} in {checkpoint.origin}, "
        f"by {len(proof.hashes)} hashes; the checkpoint's signatures hold",
        "green",
    )
    narrator.result(step="proof", seq=seq, size=checkpoint.size, origin=checkpoint.origin)


def _verify(stage: Stage, narrator: Narrator) -> None:
    narrator.step("Verify the whole log, offline", "accredit audit verify")
    report = stage.command(_Report, "audit", "verify", "--data", str(stage.data))
    narrator.say(f"✓ whole: {report.events} events", "green")
    narrator.result(step="verify", events=report.events)


def _say_goodbye(stage: Stage, narrator: Narrator, *, keep: bool) -> None:
    address = _console_address(stage)
    if not keep:
        narrator.end(f"Console: {stage.issuer}/console\nThe demo's server has stopped; `make demo KEEP=1` leaves it.")
        return
    pids = " ".join(str(process.pid) for process in stage.started)
    narrator.end("Accredit and the CRM are left running.")
    narrator.say(f"Console, once, within 15 minutes: {address}\nStop everything: kill {pids}")


def _console_address(stage: Stage) -> str:
    return (stage.data / "sign-in-link").read_text().strip()


def _shortened(text: str) -> str:
    lines = text.splitlines()
    return "\n".join(lines[:_SHOWN_LINES] + (["…"] if len(lines) > _SHOWN_LINES else []))
