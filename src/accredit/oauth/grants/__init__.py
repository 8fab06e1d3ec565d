"""One file a grant; `GRANTS` makes one of each."""

from accredit.ids import NewId
from accredit.oauth.grant import Grant
from accredit.oauth.grants.client_credentials import ClientCredentials
from accredit.oauth.resources import Resources
from accredit.policy.decide import Policy
from accredit.tokens.issue import Issuer


def make_grants(policy: Policy, issuer: Issuer, resources: Resources, new_id: NewId) -> dict[str, Grant]:
    """Every grant by its type."""
    grants: tuple[Grant, ...] = (ClientCredentials(policy, issuer, resources, new_id),)
    return {grant.grant_type: grant for grant in grants}
