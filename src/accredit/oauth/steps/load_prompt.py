"""Whether the person may be asked, and how fresh their sign-in must be (OpenID Connect Core §3.1.2.1)."""

from dataclasses import replace

from accredit.oauth.errors import InvalidRequest
from accredit.oauth.step import AuthorizationRequest

PROMPTS = ("none", "login", "consent", "select_account")
_DIGITS = 9


async def load_prompt(request: AuthorizationRequest) -> AuthorizationRequest:
    """Raises InvalidRequest."""
    prompt = frozenset(request.get("prompt").split())
    if not prompt <= frozenset(PROMPTS):
        raise InvalidRequest("prompt holds what is not known here", next_step="use " + ", ".join(PROMPTS))
    if "none" in prompt and len(prompt) > 1:
        raise InvalidRequest("prompt=none stands alone (OpenID Connect Core §3.1.2.1)")
    text = request.get("max_age")
    if text and not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        raise InvalidRequest("max_age is no number of seconds")
    return replace(request, prompt=prompt, max_age=int(text) if text else None)
