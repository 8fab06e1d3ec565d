"""Strict parsing of `application/x-www-form-urlencoded` bodies: a repeated parameter is an error (RFC 6749 §3.2)."""

from urllib.parse import parse_qsl

from accredit.errors import InputRefused

FORM_LIMIT_BYTES = 65_536
_FIELDS = 64


class FormInvalid(InputRefused):
    """The body is no form, or says one thing twice."""

    code = "invalid_form"


def parse_form(body: bytes, content_type: bytes) -> dict[str, str]:
    """Name → value; an empty value counts as left out (RFC 6749 §3.2). Raises FormInvalid."""
    if content_type.split(b";")[0].strip().lower() != b"application/x-www-form-urlencoded":
        raise FormInvalid("the body must be application/x-www-form-urlencoded")
    try:
        pairs = _pairs(body.decode("ascii"))
    except ValueError as error:
        # The error's text would hold a part of the body, and with it a secret.
        raise FormInvalid("the body is not a form", detail=type(error).__name__) from error
    form: dict[str, str] = {}
    for name, value in pairs:
        if name in form:
            raise FormInvalid(f"the parameter {name[:40]!r} is given twice")
        if "\0" in value:
            raise FormInvalid(f"the parameter {name[:40]!r} holds a NUL")
        form[name] = value
    return {name: value for name, value in form.items() if value}


def _pairs(text: str) -> list[tuple[str, str]]:
    """Raises ValueError."""
    if "%" not in text and "+" not in text and text.count("&") < _FIELDS:
        # Nothing to decode, as in most token requests: a fifth of what the library takes.
        pairs = [(name, value) for name, equals, value in (one.partition("=") for one in text.split("&")) if equals]
        if len(pairs) == text.count("&") + 1:
            return pairs
    return parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), errors="strict", max_num_fields=_FIELDS)
