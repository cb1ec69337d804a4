"""What a refusal of the hub means for the user. Pure."""

from __future__ import annotations

HOW_TO_ASK = "make a token there (Settings, Access Tokens, kind: read), and give --token-file FILE with it"


def refusal(status: int, code: str | None, page: str, token: str) -> str:
    """A sentence for an HTTP ``status``, with the ``code`` in words that the hub sends beside it; ``page`` is the
    model's. The token itself is never in it."""
    if status == 401:
        return _unknown(page, is_given=bool(token))
    if status == 403:
        return (
            f"403: the owner of this token may not have it. Open {page}, log in as the owner, and accept the licence "
            "and terms there; some makers let people in by hand, which takes days. A fine-grained token needs the "
            "right to read gated repositories"
        )
    if status == 404:
        return f"404: the hub has no such file ({code or 'not found'}); see what {page} offers"
    if status == 429:
        return "429: the hub was asked too often; wait some minutes"
    return f"the server says {status}"


def _unknown(page: str, *, is_given: bool) -> str:
    if is_given:
        return f"401: the hub does not know this token, or {page} is gone: it may be mistyped, expired or revoked"
    return f"401: not for everybody. Open {page}, log in, accept the licence and terms there; then {HOW_TO_ASK}"
