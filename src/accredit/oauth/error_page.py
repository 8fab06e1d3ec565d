"""The page of a request that cannot be answered to its client: what is wrong, and what to do. No script, no link out.

It stands alone: what it needs is in it, and its policy lets nothing else in.
"""

import base64
import hashlib
from html import escape

from starlette.responses import HTMLResponse, Response

from accredit.oauth.errors import OAuthError

_STYLE = """
:root{color-scheme:light dark;--bg:light-dark(#f4f6f8,#10161f);--surface:light-dark(#fff,#161e29);
--line:light-dark(#dce2e9,#283340);--ink:light-dark(#131a25,#e9edf3);--ink-2:light-dark(#4a5566,#a7b3c3);
--cover:light-dark(#14233d,#0a111e);--gilt:light-dark(#e6c680,#e0bf74);--accent:light-dark(#1d4fa5,#93b7ff)}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);overflow-wrap:anywhere;
font:.875rem/1.5 Inter,system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
header{padding:.75rem 1rem;background:var(--cover);color:var(--gilt);font-weight:600}
main{max-inline-size:36rem;margin:3rem auto;padding:0 1rem}
section{display:grid;gap:.75rem;padding:1rem;background:var(--surface);border:1px solid var(--line);border-radius:6px}
h1{margin:0;font-size:1.375rem;line-height:1.25;letter-spacing:-.015em;text-wrap:balance}
p{margin:0}.quiet{color:var(--ink-2);font-size:.8125rem}a{color:var(--accent)}
code{font:.95em/1.45 ui-monospace,Menlo,Consolas,monospace}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
"""
_UNAUTHORIZED = 401
_SERVER_ERROR = 500
_REFUSED = "The application that sent you here asked for what it cannot have, so nothing was given to it."
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def error_page(error: OAuthError, *, onward: str = "", host: str = "") -> Response:
    """The page. `onward` is where the client would be told, for the person to follow or not, and `host` whose it is."""
    is_ours = error.status >= _SERVER_ERROR
    why = "Nothing was done." if is_ours else _REFUSED
    parts = [f"<h1>{escape(_sentence(error.explanation))}</h1>", f"<p>{why}</p>"]
    if error.next_step:
        next_step = _sentence(error.next_step) if is_ours else f"For its makers: {error.next_step}."
        parts.append(f"<p>{escape(next_step)}</p>")
    if onward:
        parts.append(
            f"<p>It calls itself a client of <bdi>{escape(host)}</bdi>. Nobody here has vouched for it. "
            f'<a href="{escape(onward)}" rel="noreferrer">Go back to it</a> only if you came from there.</p>'
        )
    parts.append(f'<p class="quiet">Error <code>{escape(error.code)}</code></p>')
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>Not done · Accredit</title>'
        f"<style>{_STYLE}</style></head><body><header>Accredit</header><main><section>{''.join(parts)}</section>"
        "</main></body></html>"
    )
    # A browser has nothing to authenticate with here: no 401, which would have to say how (RFC 9110 §15.5.2).
    status = 400 if error.status == _UNAUTHORIZED else error.status
    return HTMLResponse(page, status_code=status, headers=_HEADERS)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
