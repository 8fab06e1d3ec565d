"""From text to a compiled set: what is refused, where, and what was expected."""

import asyncio
import pickle
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accredit.errors import InputRefused, Unavailable
from accredit.policy import background
from accredit.policy.background import SUBPROCESS_FROM, compile_in_background
from accredit.policy.cedar import compile_policies, digest_of
from accredit.policy.source import MAX_NESTING, MAX_POLICY_CHARACTERS, PolicyInvalid, split
from tests.policy.building import a_policy

NAMED = '@id("x")\n@description("d")\n'


def problems(text: str) -> list[str]:
    with pytest.raises(PolicyInvalid) as refused:
        compile_policies({"a.cedar": text})
    return [str(problem) for problem in refused.value.problems]


def test_a_policy_keeps_its_id_description_place_and_text() -> None:
    text = "// first; a comment\n\n" + a_policy("one", when='context.risk == 1 && "a;b" == "//"')

    (policy,) = compile_policies({"a.cedar": text}).policies

    assert (policy.id, policy.description, policy.file, policy.line) == ("one", "The policy one.", "a.cedar", 3)
    assert policy.text.startswith('@id("one")')
    assert policy.text.endswith(";")
    assert policy.reads == ("risk",)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            NAMED + "permit (principal, action\n resource);",
            "a.cedar:4: unexpected `resource`; expected one of `,` `)` `==` `!=` `<` `<=` `>` `>=` `in` `is`",
        ),
        (
            NAMED + "permit (principal, action, resource)\nwhen { context.risk == };",
            "a.cedar:4: unexpected `}`; expected one of `(` `{` `[` `-` a string a number a name",
        ),
        (
            NAMED + "permit (principal, action, resource)\nwhen { context.risk = 3 };",
            "a.cedar:4: '=' is not a valid operator in Cedar; expected one of `==` `!=` `<` `<=` `>` `>=`",
        ),
        (
            NAMED + "permit (principal, action, resource)\nwhen { true &&\n  shout(1) };",
            "a.cedar:5: `shout` is not a valid function",
        ),
        (
            NAMED + "permit (\nprinciple, action, resource);",
            "a.cedar:4: found an invalid variable in the policy scope: principle; "
            "expected principal, action, resource, in this order",
        ),
        (
            NAMED + "permit (principal, action, resource)",
            "a.cedar:1: the policy that begins here does not end with `;`",
        ),
        (
            NAMED + 'permit (principal, action, resource)\nwhen { context.network == "office };',
            'a.cedar:4: the string that begins here does not end; expected `"`',
        ),
        ("\n# a comment", "a.cedar:2: the character '#' has no meaning in Cedar outside a string"),
        (a_policy("x") + ";", "a.cedar:4: unexpected `;`; expected one of `@` `permit` `forbid`"),
        (
            "permit (principal, action, resource);",
            'a.cedar:1: the policy has no name; expected @id("…") before it',
        ),
        (
            '@id("x")\npermit (principal, action, resource);',
            'a.cedar:1: the policy does not say what it is for; expected @description("…") before it',
        ),
        (
            '@id("x") @description(" ")\npermit (principal, action, resource);',
            'a.cedar:1: the policy does not say what it is for; expected @description("…") before it',
        ),
        (
            '@id("x")\n@id("y")\npermit (principal, action, resource);',
            "a.cedar:1: duplicate annotation: @id",
        ),
        (
            NAMED + "permit (principal == ?principal, action, resource);",
            "a.cedar:3: a template is not used here; expected a policy without ?principal and ?resource",
        ),
        (
            a_policy("x") + "\n" + a_policy("x"),
            "a.cedar:5: the id `x` is taken by another policy, at a.cedar:1; expected one of its own",
        ),
    ],
)
def test_a_problem_has_its_place_and_what_was_expected(text: str, problem: str) -> None:
    assert problems(text) == [problem]


@pytest.mark.parametrize("id_", ["default-deny", "agent-status"])
def test_an_id_that_decisions_use_themselves_is_refused(id_: str) -> None:
    (problem,) = problems(a_policy(id_))

    assert problem == f"a.cedar:1: the id `{id_}` is what decisions without a policy are called; expected another"


@pytest.mark.parametrize("id_", ["a b", "-a", "a`b", "ä", "x" * 101, "a\\nb"])
def test_an_id_that_could_not_be_read_in_a_line_is_refused(id_: str) -> None:
    (problem,) = problems(a_policy(id_))

    assert "is not usable" in problem


def test_every_problem_of_every_file_is_told() -> None:
    with pytest.raises(PolicyInvalid) as refused:
        compile_policies({"b.cedar": a_policy("x") + "nonsense;", "a.cedar": "permit(principal, action, resource);"})

    assert [problem.file for problem in refused.value.problems] == ["a.cedar", "b.cedar"]
    assert isinstance(refused.value, InputRefused)


def test_brackets_that_would_end_the_process_are_refused_before_cedar_sees_them() -> None:
    deep = "(" * 20_000 + "true" + ")" * 20_000

    (problem,) = problems(NAMED + f"permit (principal, action, resource) when {{ {deep} }};")

    assert problem == f"a.cedar:3: more than {MAX_NESTING} brackets are open at once"


@pytest.mark.parametrize("operator", ["&&", "||"])
def test_a_chain_that_nests_too_deeply_is_refused(operator: str) -> None:
    chain = operator.join(["context.risk == 1"] * 2_000)

    (problem,) = problems(NAMED + f"permit (principal, action, resource) when {{ {chain} }};")

    assert "nested too deeply" in problem


def test_a_chain_of_fifty_terms_is_fine() -> None:
    chain = " || ".join(f"context.risk == {number}" for number in range(50))

    compiled = compile_policies({"a.cedar": a_policy("x", when=chain)})

    assert compiled.policies[0].reads == ("risk",)


def test_a_policy_of_unusual_size_is_refused() -> None:
    (problem,) = problems(a_policy("x", when=f'context.network == "{"x" * MAX_POLICY_CHARACTERS}"'))

    assert problem == f"a.cedar:1: a policy has at most {MAX_POLICY_CHARACTERS} characters"


def test_text_that_cedar_takes_for_two_policies_is_not_taken_for_one() -> None:
    # A lone carriage return ends a comment in Cedar.
    text = NAMED + "permit (principal, action, resource) // }\r;" + a_policy("y")

    assert [policy.id for policy in compile_policies({"a.cedar": text}).policies] == ["x", "y"]


def test_the_digest_is_of_the_sources_and_not_of_their_order() -> None:
    one = compile_policies({"a.cedar": a_policy("a"), "b.cedar": a_policy("b")})
    same = compile_policies({"b.cedar": a_policy("b"), "a.cedar": a_policy("a")})
    other = compile_policies({"a.cedar": a_policy("a"), "b.cedar": a_policy("b") + " "})

    assert one.digest == same.digest == digest_of({"a.cedar": a_policy("a"), "b.cedar": a_policy("b")})
    assert one.digest.startswith("sha256:")
    assert other.digest != one.digest


def test_a_compiled_set_can_be_pickled() -> None:
    compiled = compile_policies({"a.cedar": a_policy("a", when="context.args.amount > 1")})

    assert pickle.loads(pickle.dumps(compiled)) == compiled


def test_a_large_set_is_compiled_in_another_process_to_the_same_result() -> None:
    sources = {"a.cedar": "".join(a_policy(f"p{number}") for number in range(SUBPROCESS_FROM))}

    assert asyncio.run(compile_in_background(sources)) == compile_policies(sources)


def test_a_large_invalid_set_tells_its_problems_from_the_other_process() -> None:
    sources = {"a.cedar": "".join(a_policy(f"p{number}") for number in range(SUBPROCESS_FROM)) + "nonsense;"}

    with pytest.raises(PolicyInvalid) as refused:
        asyncio.run(compile_in_background(sources))

    assert [problem.line for problem in refused.value.problems] == [SUBPROCESS_FROM * 3 + 1]


def test_a_small_set_is_compiled_off_the_event_loop() -> None:
    sources = {"a.cedar": a_policy("a")}

    assert asyncio.run(compile_in_background(sources)) == compile_policies(sources)


def test_a_compilation_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    sources = {"a.cedar": "".join(a_policy(f"p{number}") for number in range(SUBPROCESS_FROM))}
    monkeypatch.setattr(background, "TIMEOUT_SECONDS", 0.001)

    with pytest.raises(Unavailable):
        asyncio.run(compile_in_background(sources))


@settings(deadline=None)
@given(st.text(max_size=80))
def test_any_text_is_compiled_or_refused_with_a_place(text: str) -> None:
    try:
        compile_policies({"a.cedar": text})
    except PolicyInvalid as refused:
        assert refused.problems
        assert all(1 <= problem.line <= text.count("\n") + 1 for problem in refused.problems)


@settings(deadline=None)
@given(st.lists(st.sampled_from(('"', ";", "//", "\n", "\\", "a", "(", ")", " ", "\r", '"x;"')), max_size=30))
def test_what_lies_between_the_pieces_is_blank_or_comment(parts: list[str]) -> None:
    text = "".join(parts)

    try:
        pieces = list(split("a.cedar", text))
    except PolicyInvalid:
        return

    end = 0
    for piece in pieces:
        start = piece.tokens[0].offset
        assert re.fullmatch(r"(\s|//[^\n\r]*)*", text[end:start])
        end = start + len(piece.text)
    assert re.fullmatch(r"(\s|//[^\n\r]*)*", text[end:])
