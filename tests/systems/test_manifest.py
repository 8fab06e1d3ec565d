"""A connector manifest: what is right is read, what is wrong is told with file, line and what was expected."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accredit.ids import SystemId
from accredit.systems.manifest import ManifestInvalid, parse_manifest
from accredit.systems.matching import match_resource, match_tool
from accredit.systems.model import Operation, System
from tests.rooms import CRM

ID = SystemId("sys_test")


def parse(text: str) -> System:
    return parse_manifest(text, "crm.toml", ID, 1)


def test_a_manifest_is_read_whole() -> None:
    system = parse(CRM)

    assert (system.name, system.kind, system.protocol, system.sensitivity) == ("crm", "crm", "mcp", 2)
    assert [one.action for one in system.operations] == ["crm.contacts.search", "crm.contacts.create"]
    assert system.operations[0].sensitivity == 2
    assert system.operations[0].data == ("personal",)


@pytest.mark.parametrize(
    ("find", "put", "line", "expected"),
    [
        ('name = "crm"', 'name = "CRM!"', 2, "a-z, 0-9"),
        ('name = "crm"', 'name = "accredit"', 2, "reserved"),
        ('kind = "crm"', 'kind = "crmm"', 4, "crm, erp, email"),
        ('protocol = "mcp"', 'protocol = "soap"', 5, "mcp, http"),
        ("sensitivity = 2", 'sensitivity = 2\ntoken_algorithm = "HS256"', 8, "ES256, RS256, EdDSA"),
        ("sensitivity = 2", "sensitivity = 9", 7, "0 .public. to 4"),
        ("sensitivity = 2", 'sensitivity = "high"', 7, "int"),
        ('upstream = "http://127.0.0.1:9000/mcp"', 'upstream = "file:///etc/passwd"', 6, "http or https"),
        ('upstream = "http://127.0.0.1:9000/mcp"', 'upstream = "http://u:p@h/mcp"', 6, "without user"),
        ('effect = "write"', 'effect = "wirte"', 18, "read, write, delete, admin"),
        ('action = "crm.contacts.create"', 'action = "Create"', 17, "dotted words"),
        ('action = "crm.contacts.create"', 'action = "token.issue"', 17, "dotted words"),
        ('scope = "crm:contacts.write"', 'scope = "a b"', 20, "scope token"),
        ('tool = "create_contact"', 'tool = "create_contact"\nprompt = "p"', 17, "just one"),
        ('tool = "create_contact"', "", 17, "just one"),
        ('tool = "create_contact"', 'tool = "search_contacts"', 17, "above"),
        ('tool = "create_contact"', 'toool = "create_contact"', 19, "toool"),
        ('title = "Customer relations"', "title = ", 3, "value"),
        ('title = "Customer relations"', 'title = "a"\ntitle = "b"', 4, "overwrite"),
    ],
)
def test_a_malformed_manifest_is_refused_with_file_line_and_what_was_expected(
    find: str, put: str, line: int, expected: str
) -> None:
    text = CRM.replace(find, put)

    with pytest.raises(ManifestInvalid, match=expected) as caught:
        parse(text)

    assert caught.value.explanation.startswith("crm.toml:")
    assert f"line {line}" in caught.value.explanation or f"crm.toml:{line}:" in caught.value.explanation


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "EdDSA"])
def test_a_system_names_what_signs_its_tokens(algorithm: str) -> None:
    system = parse(CRM.replace("sensitivity = 2", f'sensitivity = 2\ntoken_algorithm = "{algorithm}"'))

    assert system.token_algorithm == algorithm
    assert parse(CRM).token_algorithm == "ES256"


def test_an_action_may_match_two_tools_only_if_it_means_the_same() -> None:
    twice = CRM + '\n[[operations]]\naction = "crm.contacts.search"\neffect = "{}"\ntool = "find"\nscope = "s"\n'

    assert match_tool(parse(twice.format("read")), "find") is not None
    with pytest.raises(ManifestInvalid, match="another effect"):
        parse(twice.format("delete"))


def _resources(*rules: str) -> System:
    one = 'action = "r.a{}"\neffect = "read"\nscope = "s"\nresource = "{}"\n'
    head = CRM.split("[[operations]]")[0]
    return parse(head + "".join("[[operations]]\n" + one.format(n, rule) for n, rule in enumerate(rules)))


def _action(operation: Operation | None) -> str | None:
    return operation.action if operation else None


def test_a_resource_is_matched_exactly_then_by_its_longest_prefix() -> None:
    system = _resources("crm://*", "crm://contacts/*", "crm://contacts/1")

    assert _action(match_resource(system, "crm://contacts/1")) == "r.a2"
    assert _action(match_resource(system, "crm://contacts/2")) == "r.a1"
    assert _action(match_resource(system, "crm://deals/2")) == "r.a0"
    assert match_resource(system, "file:///etc/passwd") is None


@given(prefix=st.text(max_size=8), trick=st.sampled_from(["..", ".", "%2e%2e", "%2F..", "\\", "%5c", "%00"]))
def test_no_uri_that_may_wander_fits_a_prefix(prefix: str, trick: str) -> None:
    system = _resources("crm://contacts/*")

    found = match_resource(system, f"crm://contacts/{prefix}/{trick}/secrets")

    assert found is None


@pytest.mark.parametrize(
    "uri",
    [
        "file:///pub/.\t./secret",
        "file:///pub/p\nrivate/x",
        "file:///pub/..?",
        "file:///pub/..#x",
        "file:///pub/%70rivate/x",
        "file:///pub//private/x",
        "file:///pub/a%zz",
        "file:///pub/é",
        "file:///pub/a b",
        "file:///pub/..;/x",
        "file:///pub/%252e%252e/x",
        "file:///pub/x#y",
    ],
)
def test_no_uri_that_two_readers_read_differently_fits_a_prefix(uri: str) -> None:
    system = _resources("file:///pub/*", "file:///pub/private/*")

    assert match_resource(system, uri) is None


@pytest.mark.parametrize(
    ("rules", "uri"),
    [
        (("crm://*", "crm://search?q=*"), "crm://search?q=.."),
        (("crm://files/*", "crm://files/secret*"), "crm://files/secret."),
        (("https://*", "https://internal/*"), "https://INTERNAL/x"),
        (("https://*", "https://internal/*"), "https://internal:443/x"),
        (("https://*", "https://internal/*"), "https://u@internal/x"),
        (("*", "crm://secret/*"), "crm:/secret/1"),
        (("crm://*", "crm://admin"), "crm://admin#"),
    ],
)
def test_a_uri_that_dodges_the_longest_rule_fits_no_shorter_one(rules: tuple[str, ...], uri: str) -> None:
    found = match_resource(_resources(*rules), uri)

    # `secret.` is a plain name, and of the longer rule; every other one is of none.
    assert _action(found) in (None, "r.a1")


@pytest.mark.parametrize("uri", ["file:///pub/a", "file:///pub/a/b/", "file:///pub/a%20b?x=1", "file:///pub/{id}"])
def test_an_ordinary_uri_fits_its_prefix(uri: str) -> None:
    assert _action(match_resource(_resources("file:///pub/*"), uri)) == "r.a0"


@given(name=st.text())
def test_a_tool_is_matched_by_its_exact_name_only(name: str) -> None:
    operation = match_tool(parse(CRM), name)

    assert (operation is not None) == (name in ("search_contacts", "create_contact"))


@given(text=st.text())
def test_no_text_makes_the_reader_fail_otherwise_than_by_refusing(text: str) -> None:
    with pytest.raises(ManifestInvalid):
        parse(text)
