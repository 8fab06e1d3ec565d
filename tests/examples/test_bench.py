"""The benches' own parts, without load."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench import load, processes
from bench.report import Peer, Report, as_json
from mcp import Client
from mcp_types import TextContent
from tests.examples.conftest import ROOT


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    with processes.upstream() as url:
        yield url


def test_the_trivial_upstream_answers_the_official_client(upstream: str) -> None:
    async def list_and_call() -> tuple[list[str], str]:
        async with Client(upstream, mode="2026-07-28") as client:
            tools = [tool.name for tool in (await client.list_tools()).tools]
            block = (await client.call_tool("look_up", {"query": "Ada"})).content[0]
            assert isinstance(block, TextContent)
            return tools, block.text

    tools, text = asyncio.run(asyncio.wait_for(list_and_call(), 20))

    assert tools == ["look_up"]
    assert 900 < len(text) < 1_100


def test_one_by_one_sends_to_each_target_in_turns(upstream: str) -> None:
    call = load.Target(upstream, {}, '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}')

    latencies = load.one_by_one({"a": call, "b": call}, 0.05)

    assert len(latencies["a"]) == len(latencies["b"]) > 0


def test_an_answer_that_is_no_success_is_not_measured(upstream: str) -> None:
    wrong = load.Target(upstream, {}, "not JSON")

    with pytest.raises(load.LoadFailedError, match="answered 400"):
        load.one_by_one({"wrong": wrong}, 0.05)


def test_a_percentile_is_one_of_the_values() -> None:
    values = [float(value) for value in range(100, 0, -1)]

    assert load.percentile(values, 0.5) == 51
    assert load.percentile(values, 0.99) == 100
    assert load.percentile([7.0], 0.99) == 7


def test_the_report_has_the_members_of_the_contract() -> None:
    report = Report(
        name="token",
        seconds=1,
        connections=16,
        per_second=6_000,
        p50_ms=2,
        p99_ms=4,
        peer=Peer(name="other", per_second=3_000, p50_ms=4, p99_ms=8, ratio=2),
        load="wrk",
    )

    text = as_json(report)

    for member in ("name", "seconds", "connections", "per_second", "p50_ms", "p99_ms", "peer"):
        assert f'"{member}":' in text


def test_the_folder_of_a_bench_goes_with_it() -> None:
    with processes.folder() as folder:
        (folder / "file").write_text("x", encoding="utf-8")

    assert not folder.exists()


def test_the_command_finds_its_python_from_anywhere(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}

    done = subprocess.run(
        [ROOT / "bench" / "run", "nothing"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert "invalid choice: 'nothing'" in done.stderr
