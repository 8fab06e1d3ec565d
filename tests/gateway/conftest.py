"""The example CRM as the upstream, in its own process."""

from tests.examples.conftest import crm as crm
from tests.examples.conftest import own_crm as own_crm
