"""`/api/v1/policies`: see the policies in force, try a set, and put one in force."""

import msgspec

from accredit.api.endpoint import AnyEndpoint, Call, Endpoint
from accredit.api.parsing import Nothing
from accredit.policy.policysets import PolicySetInfo, PolicySets


class PolicySources(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Cedar text by file name. It is the whole set, but for the starter policies."""

    sources: dict[str, str]


class ValidPolicies(msgspec.Struct, frozen=True, kw_only=True):
    """A set that could be applied: its digest and the ids of its policies, the starter policies included."""

    digest: str
    policies: tuple[str, ...]


class PolicyEndpoints:
    """What can be done with policies."""

    def __init__(self, policy_sets: PolicySets) -> None:
        self._policy_sets = policy_sets

    def endpoints(self) -> tuple[AnyEndpoint, ...]:
        """The rows of the table."""
        return (
            Endpoint(
                method="GET",
                path="/api/v1/policies",
                summary="List the policies in force",
                act=self._list,
                body=Nothing,
                query=Nothing,
                answer=PolicySetInfo,
            ),
            Endpoint(
                method="POST",
                path="/api/v1/policies",
                summary="Replace all policies but the starter set",
                act=self._apply,
                body=PolicySources,
                query=Nothing,
                answer=PolicySetInfo,
            ),
            Endpoint(
                method="POST",
                path="/api/v1/policies/validate",
                summary="Check a set without applying it",
                act=self._validate,
                body=PolicySources,
                query=Nothing,
                answer=ValidPolicies,
            ),
        )

    async def _list(self, call: Call[Nothing, Nothing]) -> PolicySetInfo:
        del call
        return self._policy_sets.current()

    async def _apply(self, call: Call[PolicySources, Nothing]) -> PolicySetInfo:
        return await self._policy_sets.apply(call.body.sources, call.actor)

    async def _validate(self, call: Call[PolicySources, Nothing]) -> ValidPolicies:
        compiled = await self._policy_sets.validate(call.body.sources)
        return ValidPolicies(digest=compiled.digest, policies=tuple(policy.id for policy in compiled.policies))
