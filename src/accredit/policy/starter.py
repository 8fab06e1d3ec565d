"""The starter policies, which every set contains: `builtin/*.cedar`."""

from collections.abc import Mapping
from importlib import resources

from accredit.policy.cedar import STARTER_PREFIX, CompiledPolicies, compile_policies


def starter_sources() -> Mapping[str, str]:
    """File name → Cedar text of the starter policies."""
    folder = resources.files("accredit.policy") / "builtin"
    return {
        STARTER_PREFIX + file.name: file.read_text(encoding="utf-8")
        for file in sorted(folder.iterdir(), key=lambda file: file.name)
        if file.name.endswith(".cedar")
    }


def starter_policies() -> CompiledPolicies:
    """The set that is in force until another is applied."""
    return compile_policies(starter_sources())
