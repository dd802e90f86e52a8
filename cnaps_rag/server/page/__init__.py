"""The server's page: paste a request, watch its answer arrive claim by claim, see what each claim rests on.

Its files are served as they stand, without a build step, under a policy that lets nothing load from elsewhere, nothing
inline run and no text become markup; the house style comes from the self-contained page of `render`.
"""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Response

from cnaps_rag import render
from cnaps_rag.render.page import load_template, read_page_file

_FOLDER = Path(__file__).parent
_HOUSE_STYLE = Path(render.__file__).parent / "page.css"
_FILES = {
    "page.js": "text/javascript",
    "page_answer.js": "text/javascript",
    "page_proof.js": "text/javascript",
    "page_sources.js": "text/javascript",
    "page_stream.js": "text/javascript",
    "page.svg": "image/svg+xml",
}

_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",  # with no policy allowed, no string can become markup at all
        "trusted-types 'none'",
    )
)

PAGE_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
"""What comes with the page and each of its files."""


def page_router(*, has_llm: bool, needs_key: bool) -> APIRouter:
    """Routes of the page, ``/``, its style sheet and its scripts; none of them asks for a key.

    Args:
        has_llm: an LLM is configured, so that a reader can choose it.
        needs_key: answers ask for a key of this server, so that the page asks for one too.
    """
    template = load_template(_FOLDER, "index.html")
    index = template.render(has_llm=has_llm, needs_key=needs_key, example=read_page_file(_FOLDER / "example.txt"))
    style = "\n\n".join((read_page_file(_HOUSE_STYLE), read_page_file(_FOLDER / "page.css")))
    router = APIRouter(include_in_schema=False)
    _add(router, "/", index, "text/html")
    _add(router, "/page.css", style, "text/css")
    for name, media_type in _FILES.items():
        _add(router, f"/{name}", read_page_file(_FOLDER / name), media_type)
    return router


def _add(router: APIRouter, path: str, text: str, media_type: str) -> None:
    body = text.encode()

    async def serve() -> Response:
        return Response(body, media_type=media_type, headers=PAGE_HEADERS)

    router.add_api_route(path, serve, methods=["GET", "HEAD"])
