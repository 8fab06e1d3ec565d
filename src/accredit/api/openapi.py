"""`/api/openapi.json` (OpenAPI 3.1), made from the table of endpoints: it cannot tell of another API than there is."""

import re
from collections.abc import Sequence
from importlib.metadata import version

import msgspec

from accredit.api.audit import ShownEvent
from accredit.api.endpoint import AnyEndpoint
from accredit.api.own_endpoint import AnyOwnEndpoint, OwnEndpoint
from accredit.api.parsing import SEQ_LIMIT, Nothing, may_be_empty
from accredit.web.problem import MEDIA_TYPE as PROBLEM
from accredit.web.problem import Problem

_REFERENCE = "#/components/schemas/{name}"
_VARIABLE = re.compile(r"\{(\w+)\}")
_NUMBERS = {"seq": {"type": "integer", "minimum": 0, "maximum": SEQ_LIMIT}}
"""Variables of paths that are no names."""

_SCHEMES = {
    "management_token": {"type": "http", "scheme": "bearer", "description": "`token` of `management.json`"},
    "agent_token": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "an agent's access token whose audience is this server itself",
    },
}

Schema = dict[str, object]
Described = AnyEndpoint | AnyOwnEndpoint


def openapi_document(endpoints: Sequence[Described], issuer: str) -> bytes:
    """The document, as JSON."""
    bodies = [one.body for one in endpoints if one.body is not Nothing]
    answers = [one.answer for one in endpoints if one.answer is not None]
    kinds: list[type[msgspec.Struct]] = list(dict.fromkeys([Problem, ShownEvent, *bodies, *answers]))
    references, schemas = msgspec.json.schema_components(kinds, ref_template=_REFERENCE)
    reference_of = dict(zip(kinds, references, strict=True))
    paths: dict[str, Schema] = {}
    for one in endpoints:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, reference_of)
    document = {
        "openapi": "3.1.0",
        "info": {"title": "Accredit: management", "version": version("accredit")},
        "servers": [{"url": issuer}],
        "security": [{"management_token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": _SCHEMES,
        },
    }
    return msgspec.json.encode(document)


def _operation(one: Described, reference_of: dict[type[msgspec.Struct], Schema]) -> Schema:
    problem = {"description": "Refused", "content": {PROBLEM: {"schema": reference_of[Problem]}}}
    operation: Schema = {
        "operationId": one.act.__name__.strip("_") + "_" + one.path.split("/")[3].replace("-", "_"),
        "summary": one.summary,
        "parameters": [*_path_parameters(one), *_query_parameters(one)],
        "responses": {str(one.status): _answer(one, reference_of), "default": problem},
    }
    if isinstance(one, OwnEndpoint):
        operation["security"] = [{"agent_token": [one.scope]}]
    if one.body is not Nothing:
        content = {"application/json": {"schema": reference_of[one.body]}}
        operation["requestBody"] = {"required": not may_be_empty(one.body), "content": content}
    return operation


def _path_parameters(one: Described) -> list[Schema]:
    return [
        {"name": name, "in": "path", "required": True, "schema": _NUMBERS.get(name, {"type": "string"})}
        for name in _VARIABLE.findall(one.path)
    ]


def _query_parameters(one: Described) -> list[Schema]:
    described = msgspec.json.schema_components([one.query])[1][one.query.__name__]
    members: dict[str, Schema] = described["properties"]
    needed: list[str] = described["required"]
    return [
        {"name": name, "in": "query", "required": name in needed, "schema": schema} for name, schema in members.items()
    ]


def _answer(one: Described, reference_of: dict[type[msgspec.Struct], Schema]) -> Schema:
    answer: Schema = {"description": one.summary}
    if one.streams is not None:
        answer["content"] = {one.streams: {"schema": {"type": "string"}}}
    elif one.answer is not None:
        answer["content"] = {"application/json": {"schema": reference_of[one.answer]}}
    return answer
