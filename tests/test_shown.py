"""What is shown holds no fault, whatever the source text holds, and stays as it is when shown again."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cnaps_rag.checks.links import check_links
from cnaps_rag.links import canonical_link, find_links
from cnaps_rag.render.shown import LINK_NOT_SUPPLIED, shown
from cnaps_rag.sources import SourceId

SUPPLIED = ("https://github.com/o/r", "https://arxiv.org/abs/2105.00001", "https://doi.org/10.1016/x(1)2")
OWNERS = {canonical_link(link) or "": (SourceId(f"P{n}"),) for n, link in enumerate(SUPPLIED, 1)}

SHOWN = {
    "words stay": ('A 4×-enlarged photo, 50 % of $x_i$, \\alpha, a*b, `c`, #1, "q".',) * 2,
    "blanks": (" a\n\n b\u00a0c\t", "a b c"),
    "supplied link": ("see https://github.com/o/r.",) * 2,
    "supplied id": ("see arXiv:2105.00001v2.",) * 2,
    "other link": ("see https://bad.io/x, and", "see [link not supplied], and"),
    "bare host": ("at bad.io.", "at [link not supplied]."),
    "e-mail": ("a@bad.io", "[link not supplied]"),
    "link behind a reference": ("bad&#46;io", "[link not supplied]"),
    "supplied link in Markdown": ('[code](https://github.com/o/r "t")', "code (https://github.com/o/r)"),
    "supplied link that shows itself": ("[https://github.com/o/r](https://github.com/o/r)", "https://github.com/o/r"),
    "other link in Markdown": ("[x](https://bad.io)", "x ([link not supplied])"),
    "two links that disagree": (
        "[https://github.com/o/r](https://arxiv.org/abs/2105.00001)",
        "https://github.com/o/r (https://arxiv.org/abs/2105.00001)",
    ),
    "comparison": ("if a <b and c", "if a < b and c"),
    "exclamation and brackets": ("n![k]", "n! [k]"),
    "brackets of a formula": ("f[i](x)", "f[i] (x)"),
    "image": ("![fox](https://bad.io/f.png)!", "fox!"),
    "badge": ("[![b](b.svg)](https://github.com/o/r)", "b (https://github.com/o/r)"),
    "reference": ("[c]: https://github.com/o/r", "c: https://github.com/o/r"),
    "autolink": ("<https://github.com/o/r>", "https://github.com/o/r"),
    "LaTeX": (
        "\\href{https://bad.io}{\\texttt{x}} \\url{https://github.com/o/r}",
        "\\texttt{x} ([link not supplied]) https://github.com/o/r",
    ),
    "HTML": ("<p>H<sub>2</sub>O</p><a href='https://bad.io'>x</a>", "H2O x"),
    "HTML in HTML": ("<scr<b>ipt>alert(1)</script>", "alert(1)"),
    "HTML comment": ("a<!-- b -->c", "ac"),
    "tokens of language models": ("<think> <image> <s> <search>",) * 2,
    "arrow": ("GTA V --> Cityscapes <-- x",) * 2,
    "directions and zero width": ("a\u202eb\u200bc\u2066d\ufeffe\x00f", "abcdef"),
    "hidden host": ("git\u200bhub.com/x", "[link not supplied]"),
    "the phrase itself": (LINK_NOT_SUPPLIED,) * 2,
    "nothing": ("", ""),
}


@pytest.mark.parametrize(("text", "expected"), SHOWN.values(), ids=SHOWN.keys())
def test_shown(text: str, expected: str) -> None:
    assert shown(text, OWNERS) == expected


def test_the_phrase_is_no_link() -> None:
    assert not find_links(LINK_NOT_SUPPLIED)
    assert not find_links(f"x {LINK_NOT_SUPPLIED} ({LINK_NOT_SUPPLIED}), {LINK_NOT_SUPPLIED}.")


PIECES = st.sampled_from(
    [
        *"[]()<>!{}\\/:.,;@#&*_~`'\"|?=%- \n\t^$",
        *"\u202e\u202c\u200b\u2066\ufeff\u00ad\x00\x1f\u3164。．：／（）「а\u0301é中에、…—’”\u2028\xa0",
        *(
            "https://",
            "http:",
            "//",
            "www.",
            "javascript:",
            "data:text/html,",
            "mailto:",
            "arXiv:",
            "doi:",
            "git@",
            "hxxps://",
        ),
        *(
            "github.com/o/r",
            "github.com/o/x",
            "bad.io",
            "bad.ly/x",
            "arxiv.org/abs/2105.00001",
            "2105.00001",
            "10.1016/x(1)2",
        ),
        *(
            "2105",
            ".00001",
            "v2",
            ".pdf",
            ".git",
            "cs/0306050",
            "10.1016/",
            "localhost:80",
            "1.2.3.4",
            "[::1]/",
            "a",
            "B",
            "7",
            "io",
            "com",
        ),
        *(
            "<a href=",
            "<img ",
            "<b>",
            "</b>",
            "<br>",
            "<!--",
            "-->",
            "<script>",
            "onclick=",
            "<key:value>",
            "\\url{",
            "\\href{",
        ),
        *(
            "![",
            "](",
            "]: ",
            "][",
            "[^1]",
            "&#46;",
            "&sol;",
            "&amp;",
            "&lt;",
            "&ZeroWidthSpace;",
            "[.]",
            "(dot)",
            " dot ",
            " at ",
            "%2F",
            "%2e",
        ),
        *(LINK_NOT_SUPPLIED, "the model", "Fig. 3", "e.g."),
    ]
)
NASTY = st.lists(PIECES, max_size=14).map("".join)


@settings(max_examples=600, deadline=None)
@given(NASTY | st.text(max_size=60))
@example("[x](\nhttps://bad.io)")
@example("https://github.com/o/r\n\n/issues")
def test_shown_holds_no_fault_and_stays(text: str) -> None:
    said = shown(text, OWNERS)
    assert [found for found in check_links(said, OWNERS) if found.verdict != "supplied"] == []
    assert shown(said, OWNERS) == said
    assert "\n" not in said


@settings(max_examples=300, deadline=None)
@given(NASTY, NASTY)
def test_shown_holds_no_fault_amid_our_own_words(text: str, other: str) -> None:
    one, two = shown(text, OWNERS), shown(other, OWNERS)
    said = f'The paper says: "{one}"[^1] (**{two}**)\n\n[^1]: P1: "{two}"'
    assert [found for found in check_links(said, OWNERS) if found.verdict != "supplied"] == []


@pytest.mark.parametrize(
    "text", ["<" * 5_000, "<b" * 5_000, "[" * 5_000 + "](x)" * 2_000, "<b><i>" * 3_000, "![a](" * 3_000]
)
def test_nesting_ends(text: str) -> None:
    said = shown(text, OWNERS)
    assert [found for found in check_links(said, OWNERS) if found.verdict != "supplied"] == []
