"""An agent that gets a token with its client secret and calls tools through Accredit's gateway.

    python -m examples.agent.agent --issuer http://localhost:8400 --client-id agt_… --secret-file secret \
        --system crm --call search_contacts '{"query": "ada"}'

It prints one JSON object a line: the token's scope, the tools that it sees, and each call's result.
"""

import argparse
import asyncio
import json
from pathlib import Path
from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

SECONDS = 20.0


def tell(step: str, **members: Any) -> None:
    """Print one step."""
    print(json.dumps({"step": step, **members}), flush=True)


async def get_token(issuer: str, client_id: str, secret: str, resource: str) -> dict[str, Any]:
    """Ask the token endpoint for a token for one resource (RFC 6749 §4.4, RFC 8707)."""
    form = {
        "grant_type": "client_credentials",
        "client_id": client_id,
        "client_secret": secret,
        "resource": resource,
    }
    async with httpx2.AsyncClient(timeout=SECONDS) as http:
        response = await http.post(f"{issuer}/oauth/token", data=form)
        response.raise_for_status()
        answer: dict[str, Any] = response.json()
        return answer


async def run(options: argparse.Namespace) -> None:
    """Get a token, list the tools, make the calls."""
    url = f"{options.issuer}/gateway/{options.system}/mcp"
    # A small file, read once before anything else happens.
    secret = options.secret_file.read_text().strip()
    token = await get_token(options.issuer, options.client_id, secret, url)
    tell("token", scope=token["scope"], expires_in=token["expires_in"])

    headers = {"authorization": f"Bearer {token['access_token']}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=SECONDS) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        listed = await client.list_tools()
        tell("tools", names=[tool.name for tool in listed.tools])
        for tool, arguments in options.call:
            result = await client.call_tool(tool, json.loads(arguments))
            text = "\n".join(block.text for block in result.content if block.type == "text")
            tell("call", tool=tool, refused=bool(result.is_error), text=text, meta=result.meta or {})


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="An example agent behind Accredit.")
    parser.add_argument("--issuer", required=True)
    parser.add_argument("--client-id", required=True)
    parser.add_argument("--secret-file", type=Path, required=True)
    parser.add_argument("--system", required=True)
    parser.add_argument("--call", nargs=2, action="append", default=[], metavar=("TOOL", "JSON"))
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
