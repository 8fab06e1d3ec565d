"""One package a wire protocol, and the table of them. A stranger adds one here."""

from accredit.gateway.protocol import WireProtocol
from accredit.gateway.protocols.mcp.call import Mcp
from accredit.ids import NewId
from accredit.keys.seal import Sealer


def protocols(sealer: Sealer, new_id: NewId) -> dict[str, WireProtocol]:
    """The protocols that are spoken, by the name that manifests use."""
    return {"mcp": Mcp(sealer, new_id)}
