"""The checkpoint: how far the log is whole, who signed it, and how to check it without us."""

import base64

from starlette.responses import JSONResponse, Response

from accredit.audit.checkpoint import Signature, VerifierKey, parse_checkpoint_text, parse_note, parse_vkey
from accredit.console.keys import browser_key
from accredit.console.site import Site, Visit

_ALGORITHMS = {1: "Ed25519", 4: "Ed25519 cosignature", 6: "ML-DSA-44"}


async def checkpoint(site: Site, visit: Visit) -> Response:
    """The newest checkpoint."""
    note_text = await site.data.log.checkpoint()
    note = parse_note(note_text)
    said = parse_checkpoint_text(note.text)
    keys = [parse_vkey(vkey) for vkey in site.data.log.keys().splitlines()]
    return await site.page(
        visit,
        "checkpoint.html",
        checkpoint=said,
        root=base64.b64encode(said.root).decode(),
        note=note_text,
        signatures=[_described(one, keys) for one in note.signatures],
        vkeys=[(_ALGORITHMS.get(key.kind, "unknown"), key.text()) for key in keys],
        origin=site.origin,
    )


async def note(site: Site, visit: Visit) -> Response:
    """All that verify.js needs to check the checkpoint's signature, as JSON."""
    del visit
    return JSONResponse({"checkpoint": await site.data.log.checkpoint(), "vkey": browser_key(site.data.log.keys())})


def _described(signature: Signature, keys: list[VerifierKey]) -> tuple[str, str, str]:
    """Who signed, with which kind of key, and the key's id."""
    kind = next((key.kind for key in keys if key.key_id == signature.key_id and key.name == signature.name), 0)
    return signature.name, _ALGORITHMS.get(kind, "a key that we do not know"), signature.key_id.hex()
