"""The example CRM as the upstream, in its own process."""

from tests.examples.conftest import crm, own_crm

__all__ = ["crm", "own_crm"]
