"""The kinds of workload platforms: one file and one line each."""

from collections.abc import Mapping

from accredit.federation.workload import WorkloadKind
from accredit.federation.workloads import aws, entra, generic, github_actions, google, kubernetes, spiffe

WORKLOADS: Mapping[str, WorkloadKind] = {
    "kubernetes": kubernetes.KIND,
    "spiffe": spiffe.KIND,
    "github_actions": github_actions.KIND,
    "entra": entra.KIND,
    "google": google.KIND,
    "aws": aws.KIND,
    "generic": generic.KIND,
}
