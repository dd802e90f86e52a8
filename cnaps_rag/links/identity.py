"""What one link points at: a canonical string, the same for all links of a resource by urls.md, or why it has none."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from urllib.parse import unquote

from cnaps_rag.links.characters import BLANKS, INVISIBLE

ARXIV_ID = r"(?:\d{4}\.\d{4,5}|[a-z][a-z-]{1,15}(?:\.[A-Z]{2})?/\d{7})"
"""An arXiv identifier without its version, new style or old (info.arxiv.org/help/arxiv_identifier)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """`canonical` is None where urls.md always rejects the link; `fault` then says why, `is_disguised` how."""

    canonical: str | None = None
    fault: str | None = None
    is_disguised: bool = False


def canonical_link(link: str) -> str | None:
    """Same string for two links exactly when urls.md counts them as the same resource; None where it always rejects.

    Examples: ``http://www.arxiv.org/pdf/2105.00001v2.pdf`` and ``arXiv:2105.00001`` → ``arxiv:2105.00001``;
    ``https://github.com/Owner/Repo.git`` → ``github:owner/repo``.
    """
    return identify(link).canonical


def identify(link: str, *, is_target: bool = False) -> Identity:
    """Identity of `link`, with the reason where it has none.

    Args:
        link: an address, with or without scheme, or a plain arXiv id or DOI.
        is_target: `link` is the target of markup, where a plain id is no link but an unknown scheme.
    """
    link = link if is_target else link.strip(" \t\r\n\xa0")
    if (fault := _disguise(link)) is not None:
        return Identity(fault=fault, is_disguised=True)
    if is_target:
        return _identify_address(link)
    if (plain := _PLAIN_ARXIV.fullmatch(link)) is not None:
        return Identity(canonical=f"arxiv:{plain['id']}")
    if (plain := _PLAIN_DOI.fullmatch(link)) is not None:
        return _identify_doi(plain["doi"])
    return _identify_address(link)


_PLAIN_ARXIV = re.compile(rf"(?i:arxiv)(?::\s?|\s)(?P<id>{ARXIV_ID})(?:v\d+)?")
_PLAIN_DOI = re.compile(r"(?:(?i:doi)(?::\s?|\s))?(?P<doi>10\.\d{4,9}(?:\.\d+)*/.+)")
_LABEL = re.compile(r"(?i)(?:arxiv|doi)(?::\s?|\s)")
_INVISIBLE_ONE = re.compile(rf"[{INVISIBLE}]")
_BLANK = re.compile(rf"[{BLANKS}]")
_REFERENCE = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});|&#[xX]?[0-9a-fA-F]{1,6}")


def _disguise(link: str) -> str | None:
    label = _LABEL.match(link)
    if _INVISIBLE_ONE.search(link) is not None:
        return "it holds an invisible character"
    if _BLANK.search(link, label.end() if label is not None else 0) is not None:
        return "it is broken by a blank"
    if "\\" in link:
        return "it holds a backslash"
    if any(html.unescape(found) != found for found in _REFERENCE.findall(link)):
        return "it holds an HTML character reference"
    if not link.isascii():
        return "it holds a character that is not ASCII"
    return None


_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):(?!\d+(?:[/?#]|$))(?P<slashes>/*)")
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_NUMBER = re.compile(r"(?:0x)?[0-9a-f.]*\d(?:\.0x[0-9a-f]+)*")
_HOST = re.compile(r"(?:[a-z0-9_-]{1,63}\.)+[a-z][a-z0-9-]{1,62}")


def _identify_address(link: str) -> Identity:
    """Identity of anything but a plain arXiv id or DOI: ``[http[s]://]host[:port][/path][?query][#fragment]``."""
    found = _SCHEME.match(link)
    if (fault := _scheme_fault(link, found)) is not None:
        return fault
    scheme = found["scheme"].lower() if found is not None else None
    rest = link[found.end() :] if found is not None else link
    rest, _, fragment = rest.partition("#")
    if "//" in fragment:
        return Identity(fault="another link stands behind its #")
    rest, mark, query = rest.partition("?")
    authority, slash, path = rest.partition("/")
    host = _host(authority, scheme)
    if isinstance(host, Identity):
        return host
    path = _UNRESERVED.sub(_decoded, slash + path)
    if (fault := _path_fault(path)) is not None:
        return fault
    if mark:
        return Identity(canonical=f"{host}{path}?{query}")
    return _identify_page(host, path.removesuffix("/"))


def _scheme_fault(link: str, found: re.Match[str] | None) -> Identity | None:
    if found is None:
        return Identity(fault="it leaves out the scheme before //") if link.startswith("//") else None
    scheme, n_slashes = found["scheme"].lower(), len(found["slashes"])
    if scheme in ("http", "https"):
        if n_slashes == 2:
            return None
        return Identity(fault=f"{n_slashes} slashes follow its scheme, not two", is_disguised=True)
    if scheme in ("arxiv", "doi"):
        return Identity(fault="it is no whole arXiv id" if scheme == "arxiv" else "it is no whole DOI")
    if scheme in ("hxxp", "hxxps"):
        return Identity(fault="it is spelt to be put together by the reader", is_disguised=True)
    return Identity(fault=f"its scheme is {scheme}:, not http: or https:")


def _host(authority: str, scheme: str | None) -> str | Identity:
    """Host in small letters without ``www.``, or what is wrong with what stands in its place."""
    if "@" in authority:
        return Identity(fault="a user name or an e-mail address stands before its host")
    if "%" in authority:
        return Identity(fault="its host is percent-encoded", is_disguised=True)
    host, colon, port = authority.lower().partition(":")
    if host.startswith("[") or _NUMBER.fullmatch(host) is not None or host == "localhost":
        return Identity(fault="its host is a number or this machine")
    if colon and port != _DEFAULT_PORTS.get(scheme or ""):
        return Identity(fault="it names another port than the scheme's own")
    if "xn--" in host:
        return Identity(fault="its host is written in punycode (xn--)", is_disguised=True)
    host = host.removeprefix("www.") if host.count(".") > 1 else host
    if _HOST.fullmatch(host) is None:
        return Identity(fault="it is a link without a full host name")
    return host


_UNRESERVED = re.compile(r"%(?:4[1-9A-Fa-f]|5[0-9AaFf]|6[1-9A-Fa-f]|7[0-9AaEe]|3[0-9]|2[DEde])")


def _decoded(found: re.Match[str]) -> str:
    return unquote(found.group())


def _path_fault(path: str) -> Identity | None:
    if re.search(r"%(?:2[Ff]|5[Cc]|25|[01][0-9A-Fa-f]|7[Ff])", path) is not None:
        return Identity(fault="its path hides a slash, a backslash or a percent sign behind %", is_disguised=True)
    if re.search(r"%(?![0-9A-Fa-f]{2})", path) is not None:
        return Identity(fault="its path holds a percent sign that encodes nothing")
    if (found := re.search(r"//|/\.\.?(?=/|$)|;", path)) is not None:
        return Identity(fault=f"its path holds {found.group()}")
    return None


_ARXIV_PAGE = re.compile(rf"/(?:abs/(?P<abs>{ARXIV_ID})(?:v\d+)?|pdf/(?P<pdf>{ARXIV_ID})(?:v\d+)?(?:\.pdf)?)")
_ARXIV_DOI = re.compile(rf"(?i:10\.48550/arxiv\.)(?P<id>{ARXIV_ID})(?:v\d+)?")
_REPOSITORY = re.compile(r"/(?P<owner>[^/]+)/(?P<name>[^/]+)")


def _identify_page(host: str, path: str) -> Identity:
    if host == "arxiv.org" and (page := _ARXIV_PAGE.fullmatch(path)) is not None:
        return Identity(canonical=f"arxiv:{page['abs'] or page['pdf']}")
    if host in ("doi.org", "dx.doi.org") and _PLAIN_DOI.fullmatch(path[1:]) is not None:
        return _identify_doi(path[1:])
    if host == "github.com" and (page := _REPOSITORY.fullmatch(path)) is not None:
        name = page["name"].removesuffix(".git")
        if name:
            return Identity(canonical=f"github:{page['owner']}/{name}".lower())
    return Identity(canonical=f"{host}{path}")


def _identify_doi(doi: str) -> Identity:
    """Identity of a DOI without its label: that of the arXiv id where it is one of arXiv's (10.48550)."""
    doi = doi.partition("#")[0].removesuffix("/")
    if (fault := _path_fault(f"/{doi}")) is not None:
        return fault
    if (found := _ARXIV_DOI.fullmatch(doi)) is not None:
        return Identity(canonical=f"arxiv:{found['id']}")
    return Identity(canonical=f"doi:{doi.lower()}")
