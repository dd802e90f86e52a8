"""What counts as a link, where it ends and what it is: tables, and properties over nasty texts."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnaps_rag.links import canonical_link, find_links
from cnaps_rag.links.fold import fold

SAME = {
    "arxiv:2105.00001": [
        "https://arxiv.org/abs/2105.00001",
        "http://www.arxiv.org/pdf/2105.00001v12.pdf",
        "HTTPS://ARXIV.ORG:443/pdf/2105.00001/",
        "arxiv.org/abs/2105.0000%31#x",
        "arXiv:2105.00001",
        "ARXIV: 2105.00001v2",
        "arXiv 2105.00001",
        "https://doi.org/10.48550/arXiv.2105.00001",
        "doi:10.48550/ARXIV.2105.00001v1",
        "10.48550/arxiv.2105.00001",
    ],
    "arxiv:cs/0306050": ["https://arxiv.org/abs/cs/0306050v1", "arXiv:cs/0306050", "arxiv.org/pdf/cs/0306050.pdf"],
    "github:cszn/scunet": [
        "https://github.com/cszn/SCUNet",
        "http://www.github.com/CSZN/scunet.git/",
        "github.com/cszn/SCUNet#readme",
        "https://github.com/cszn/%53CUNet",
    ],
    "doi:10.1016/s0893-6080(05)80131-5": [
        "https://doi.org/10.1016/S0893-6080(05)80131-5",
        "http://dx.doi.org/10.1016/s0893-6080(05)80131-5/",
        "DOI 10.1016/S0893-6080(05)80131-5",
        "10.1016/S0893-6080(05)80131-5",
    ],
    "openreview.net/forum?id=X": ["https://openreview.net/forum?id=X", "http://www.openreview.net/forum?id=X#y"],
    "aclanthology.org/2021.ccl-1.15": ["https://aclanthology.org/2021.ccl-1.15/", "ACLANTHOLOGY.org/2021.ccl-1.15"],
}

NEVER = [
    *("", "foo", "ftp://x.org/a", "mailto:a@x.org", "a@x.org", "//x.org/a", "https:/x.org/a", "https:///x.org/a"),
    *(
        "https://a@x.org/",
        "https://x.org:8080/",
        "http://x.org:443/",
        "x.org:443/",
        "https://1.2.3.4/",
        "https://[::1]/",
    ),
    *(
        "https://xn--x-2da.org/",
        "https://é.org/",
        "https://x.org/é",
        "https://%78.org/",
        "https://x.org\\a",
        "https://x.org/a b",
    ),
    *(
        "https://x.org/a%2Fb",
        "https://x.org/%2541",
        "https://x.org/a//b",
        "https://x.org/./a",
        "https://x.org/a/..",
        "https://x.org/a;b",
    ),
    *(
        "https://x.org/\u200b",
        "arXiv:2105.000011",
        "arXiv:2105",
        "doi:10.1016",
        "https://localhost/a",
        "https://x.org./a",
    ),
    *(
        "https://x.org/%zz",
        "https://x.org/a%",
        "https://x&#46;org/",
        "hxxps://x.org",
        "https://x.org/#//y.org",
        "javascript:alert(1)",
    ),
]


@pytest.mark.parametrize(("canonical", "link"), [(name, link) for name, links in SAME.items() for link in links])
def test_same_resource(canonical: str, link: str) -> None:
    assert canonical_link(link) == canonical


@pytest.mark.parametrize("link", NEVER)
def test_always_rejected(link: str) -> None:
    assert canonical_link(link) is None


DIFFERENT = [
    ("https://arxiv.org/abs/2105.00001", "https://arxiv.org/abs/2105.00001.pdf"),
    ("https://arxiv.org/abs/2105.00001", "https://arxiv.org/html/2105.00001"),
    ("https://arxiv.org/abs/2105.00001", "https://export.arxiv.org/abs/2105.00001"),
    ("https://arxiv.org/abs/cs/0306050", "https://arxiv.org/abs/math/0306050"),
    ("https://github.com/o/r", "https://github.com/o/r/"[:-2]),
    ("https://github.com/o/r", "https://github.com/o/r.git.git"),
    ("https://github.com/o/r", "https://github.com/o/r?x=1"),
    ("https://x.org/a", "https://x.org/A"),
    ("https://x.org/a.git", "https://x.org/a"),
    ("https://x.org/a?x=%41", "https://x.org/a?x=A"),
    ("https://x.org/a?x=1", "https://x.org/a?x=1/"),
    ("https://x.org/a?", "https://x.org/a"),
    ("https://x.org/a%20", "https://x.org/a"),
    ("https://x.org/a%28", "https://x.org/a("),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different_resource(one: str, other: str) -> None:
    assert canonical_link(one) is not None
    assert canonical_link(one) != canonical_link(other)


SPANS = {
    "https://x.org/a. And": ["https://x.org/a"],
    "(https://x.org/a).": ["https://x.org/a"],
    "https://x.org/a(b)c) d": ["https://x.org/a(b)c"],
    "https://x.org/a(b": ["https://x.org/a(b"],
    "**https://x.org/a**, _x_": ["https://x.org/a"],
    "“https://x.org/a”…": ["https://x.org/a"],
    'https://x.org/a"b': ["https://x.org/a"],
    "https://x.org/a<b": ["https://x.org/a"],
    "https://x.org/a`b": ["https://x.org/a"],
    "https://x.org/a中": ["https://x.org/a"],
    "https://x.org/a。b": ["https://x.org/a"],
    "https://x.org/aв": ["https://x.org/aв"],
    "[x](https://x.org/a.)": ["https://x.org/a."],
    '[https://x.org/a](https://x.org/a "t")': ["https://x.org/a", "https://x.org/a"],
    "[x][c]\n\n[c]: <https://x.org/a> 't'": ["https://x.org/a"],
    "\\href{https://x.org/a}{x.org/b}": ["https://x.org/a", "x.org/b"],
    "![x](y z)": [],
    "![x](y)": ["![x](y)"],
    "a <img src=x> b": ["<img src=x>"],
    "见arXiv:2105.00001，": ["arXiv:2105.00001"],
    "arXiv 2105.00001v2's": ["arXiv 2105.00001v2"],
    "doi: 10.1016/x.": ["doi: 10.1016/x"],
    "bad&#46;io.": ["bad&#46;io"],
    "bad [dot] io/x.": ["bad [dot] io/x"],
    "a\u202eb": ["\u202e"],
    "git@x.org:a/b.git,": ["git@x.org:a/b.git"],
    "a.b@x.org.": ["a.b@x.org"],
    "www.x.": ["www.x"],
    "https://x.org/a, https://x.org/b": ["https://x.org/a", "https://x.org/b"],
    "|https://x.org/a|": ["https://x.org/a"],
    "see https:// or http://.": [],
    "train.py/test.py:12 and model.py:7": [],
}


@pytest.mark.parametrize(("text", "expected"), SPANS.items(), ids=SPANS.keys())
def test_spans(text: str, expected: list[str]) -> None:
    assert [found.text for found in find_links(text)] == expected


def test_text_and_target_of_markup() -> None:
    text = "x [arXiv:2105.00001](https://github.com/o/r)"
    shown, target = find_links(text)
    assert (shown.text, shown.canonical) == ("arXiv:2105.00001", "arxiv:2105.00001")
    assert (target.target, target.label, target.shows) == ("https://github.com/o/r", shown.text, ("arxiv:2105.00001",))
    assert text[slice(*target.whole)] == text[2:]


TEXTS = st.text() | st.lists(
    st.sampled_from(
        [
            *"[]()<>!\\/:.@&#*\u200b\u202e。．а ",
            "https://",
            "x.org",
            "/a",
            "arXiv:",
            "2105.00001",
            "&#46;",
            "[.]",
            "<b>",
            "doi:10.1/",
            "%2F",
        ]
    )
).map("".join)


@settings(max_examples=500, deadline=None)
@given(TEXTS)
def test_offsets_are_exact(text: str) -> None:
    for found in find_links(text):
        assert text[found.start : found.end] == found.text
        assert (found.fault is None) == (found.canonical is not None)
        assert found.fault is not None or found.canonical == canonical_link(found.target)


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_folding_maps_back(text: str) -> None:
    folded = fold(text)
    spans = [folded.source_span(place, place + 1) for place in range(len(folded.text))]
    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert all(one[0] <= other[0] and one[1] <= other[1] for one, other in pairwise(spans))
    changed = {place for change in folded.changes for place in range(change.place, change.place + change.length)}
    assert all(text[slice(*span)] == folded.text[place] for place, span in enumerate(spans) if place not in changed)


UNITS = [
    *(
        "(",
        "[",
        "<",
        "`",
        "*",
        "_",
        "-",
        ".",
        "/",
        "\\",
        "&",
        "@",
        ":",
        "!",
        "a",
        "1",
        " ",
        "\n",
        "\u202e",
        "\u200b",
        "中",
        "。",
        "а",
    ),
    *(
        "a.",
        "a.a@",
        "](",
        "[](",
        "![](",
        "[a](b ",
        "[a]: b\n",
        "<a ",
        '<a "',
        "<a '",
        "<!--",
        "http://a",
        "http://a)",
        "http://a(",
        "://",
        "a://",
    ),
    *(
        "//a.",
        "www.",
        "javascript:",
        "arXiv:",
        "arXiv:2105.",
        "10.1234/",
        "doi:",
        "cs/0306050",
        "bad.io ",
        "a@b.io:",
        "1.2.3.4/",
        "[::1]:1",
    ),
    *(
        "&#46;",
        "&amp;",
        "[.]",
        " dot ",
        "\\url{",
        "\\href{a}{",
        "``",
        "```\n",
        "github.com/o/ r",
        "https://github.com/o/r\n",
        "<b>",
        "%2F",
    ),
]


@pytest.mark.parametrize("unit", UNITS)
def test_hostile_text_takes_linear_time(unit: str) -> None:
    """100 kB of anything takes well under a second; ten is far beyond it and far below what a quadratic way takes."""
    text = unit * (100_000 // len(unit))
    before = time.process_time()
    find_links(text)
    assert time.process_time() - before < 10
