"""The SDK as others see it: its names, its examples, and what it draws in."""

import ast
import inspect
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import accredit.client
from accredit.client.challenge import parse_challenges

MODULES = ("__init__", "auth", "authorization", "credentials", "dpop", "grants", "loopback", "sources", "tokens")
NAMES = [name for name in accredit.client.__all__ if inspect.getdoc(getattr(accredit.client, name))]
OURS = [name for name in NAMES if getattr(getattr(accredit.client, name), "__module__", "").startswith("accredit.")]


def examples(text: str) -> list[str]:
    """The indented blocks of a docstring that are code."""
    blocks = re.findall(r"(?:^|\n\n)((?:    [^\n]*\n?)+)", text)
    return [block for block in map(textwrap.dedent, blocks) if "(" in block]


@pytest.mark.parametrize("name", OURS)
def test_every_public_name_says_what_it_is_for(name: str) -> None:
    assert len(inspect.getdoc(getattr(accredit.client, name)) or "") > 20


@pytest.mark.parametrize("module", MODULES)
def test_examples_are_short_and_use_public_names_only(module: str) -> None:
    source = Path(accredit.client.__file__).with_name(f"{module}.py").read_text()
    docs = [
        ast.get_docstring(node) or ""
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
    ]
    found = [example for text in docs for example in examples(text)]

    assert found
    for example in found:
        called = {
            node.func.id
            for node in ast.walk(ast.parse(example))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        assert called - {"print", "Path"} <= set(accredit.client.__all__)
        assert len(example.strip().splitlines()) <= 3


def test_the_sdk_draws_in_no_other_room_and_not_the_mcp_sdk() -> None:
    program = (
        "import sys, accredit.client;"
        "print([name for name in sys.modules if name.split('.')[0] in {'mcp', 'starlette', 'sqlalchemy', 'pyreqwest'}"
        " or (name.startswith('accredit.') and not name.startswith('accredit.client'))])"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=Path("/"))

    assert found.stdout.strip() == "[]"


@given(st.text(alphabet='Bearer DPoP="\\,xé \t=', max_size=200))
def test_any_challenge_can_be_read(value: str) -> None:
    for found in parse_challenges([value]):
        assert found.scheme in {"bearer", "dpop"}


@pytest.mark.parametrize("piece", ["a", 'a="', " ", ",", '\\"', 'Bearer x="\\'])
def test_reading_a_long_challenge_is_quick(piece: str) -> None:
    import time

    began = time.perf_counter()
    parse_challenges(['Bearer x="' + piece * 100_000, piece * 100_000])

    assert time.perf_counter() - began < 2
