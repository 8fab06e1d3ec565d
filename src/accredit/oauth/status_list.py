"""The address of token status lists (draft-ietf-oauth-status-list §8): anyone may read them, and they name nobody."""

import re

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from accredit.errors import Unavailable
from accredit.oauth.rooms import OAuthRooms
from accredit.tokens.statuses import PATH, TTL_SECONDS, StatusLists

MEDIA_TYPE = "application/statuslist+jwt"
_NUMBER = re.compile(r"0|[1-9][0-9]{0,15}")
# §8.1: a page of any origin may read a list.
_OPEN = {"access-control-allow-origin": "*"}


def status_list_routes(rooms: OAuthRooms) -> list[BaseRoute]:
    """The route, if tokens have places at all."""
    if rooms.statuses is None:
        return []
    lists = StatusLists(rooms.transactions, rooms.keyring, rooms.clock, rooms.issuer)

    async def read(request: Request) -> Response:
        text: str = request.path_params["number"]
        if _NUMBER.fullmatch(text) is None:
            return Response(status_code=404, headers=_OPEN)
        try:
            token = await lists.token(int(text))
        except Unavailable:
            # Without the list, whoever asks must not take the tokens in it for good.
            return Response(status_code=503, headers=_OPEN)
        if token is None:
            return Response(status_code=404, headers=_OPEN)
        headers = {**_OPEN, "cache-control": f"public, max-age={TTL_SECONDS}"}
        return Response(token, media_type=MEDIA_TYPE, headers=headers)

    return [Route(f"{PATH}/{{number}}", read, methods=["GET"])]
