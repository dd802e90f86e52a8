"""Links: the canonical identity of one, and every link-like thing of a text (urls.md).

Read in this order: `characters` (where a link ends, what hides in one), `tlds`, `spans`, `identity` (same resource,
same string), `scan` (links of plain text), `elements` and `markup` (links that HTML, Markdown and LaTeX make), `fold`
(a text as its reader puts it together), `broken` (links that blanks and lines break), `find` (all of them together).
"""

from __future__ import annotations

from cnaps_rag.links.find import FoundLink, find_links
from cnaps_rag.links.identity import canonical_link

__all__ = ["FoundLink", "canonical_link", "find_links"]
