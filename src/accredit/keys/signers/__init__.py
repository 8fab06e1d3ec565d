"""One file a place that keeps the private keys of tokens. `PLACES` is their table."""

from collections.abc import Callable

from accredit.keys.signer import KeyPlace
from accredit.keys.signers.openbao_transit import OpenBaoTransit
from accredit.keys.signers.sealed import SealedKeys
from accredit.outbound import Outbound
from accredit.settings import Settings

PLACES: tuple[Callable[[Settings, Outbound], KeyPlace], ...] = (
    lambda settings, outbound: SealedKeys(),  # noqa: ARG005  # each row takes what any of them needs
    lambda settings, outbound: OpenBaoTransit(
        outbound,
        address=settings.openbao_address,
        mount=settings.openbao_transit_mount,
        token_file=settings.openbao_token_file,
    ),
)


def open_places(settings: Settings, outbound: Outbound) -> tuple[dict[str, KeyPlace], KeyPlace]:
    """Every place by its name, and the one where new keys are made. Raises InputRefused for a setting that is unfit."""
    places = {place.name: place for place in (make(settings, outbound) for make in PLACES)}
    return places, places[OpenBaoTransit.name if settings.openbao_address else SealedKeys.name]
