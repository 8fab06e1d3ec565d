"""What an endpoint for clients reads: the form, the credentials in the headers, and the connection's certificate."""

from accredit.errors import InputRefused
from accredit.oauth.client_auth import ClientRequest
from accredit.oauth.errors import InvalidDpopProof, InvalidRequest
from accredit.tokens.errors import ProofInvalid
from accredit.web.asgi import Receive, Scope, read_body
from accredit.web.bearer import dpop_header
from accredit.web.certificates import ClientCertificates
from accredit.web.forms import FORM_LIMIT_BYTES, parse_form


async def read_client_request(scope: Scope, receive: Receive, certificates: ClientCertificates) -> ClientRequest:
    """Read a request strictly: nothing is said twice. Raises InvalidRequest, InvalidDpopProof, Disconnected."""
    headers = scope["headers"]
    content_type = b""
    authorization: str | None = None
    for name, value in headers:
        if name == b"content-type":
            content_type = value
        elif name == b"authorization":
            if authorization is not None:
                raise InvalidRequest("the request holds two Authorization headers", next_step="send one")
            authorization = value.decode("latin-1")
    try:
        form = parse_form(await read_body(receive, headers, FORM_LIMIT_BYTES), content_type)
        certificate = certificates.of(scope)
        dpop = dpop_header(headers)
    except ProofInvalid as error:
        raise InvalidDpopProof(error.explanation, next_step=error.next_step) from error
    except InputRefused as error:
        raise InvalidRequest(error.explanation, next_step="see RFC 6749 §3.2", detail=error.detail) from error
    return ClientRequest(form=form, authorization=authorization, certificate=certificate, dpop=dpop)
