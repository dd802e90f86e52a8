"""Any text → claims with exact offsets: tables of cases, and properties over any text at all."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnaps_rag.request import AnswerRequest
from cnaps_rag.sources import RecommendedModel, RelatedPaper
from cnaps_rag.validation.split import split_claims
from cnaps_rag.validation.statements import TextClaim

REQUEST = AnswerRequest(
    question="I enlarged an image by 4x. How does AI preserve detail?",
    models=(
        RecommendedModel(
            name="SISR-Any-LIIF-EDSR", paper="https://arxiv.org/pdf/2012.09161", github="https://github.com/yinboc/liif"
        ),
    ),
    papers=(
        RelatedPaper(
            title="FeatSharp: Your Vision Model Features, Sharper",
            paper="http://arxiv.org/pdf/2502.16025v1.pdf",
            summary="We introduce a novel method to upsample the feature maps of low-res vision encoders.",
        ),
        RelatedPaper(
            title="Saliency Suppressed, Semantics Surfaced: Visual Transformations in Neural Networks and the Brain",
            paper="http://arxiv.org/pdf/2404.18772v1.pdf",
            github="https://github.com/gucioopielka/saliency-semantic-rsa",
            summary="We uncover that networks suppress saliency in early layers.",
        ),
    ),
)


def split(text: str) -> tuple[TextClaim, ...]:
    return split_claims(text, REQUEST)


def claims(text: str) -> list[tuple[str, str | None]]:
    """What is judged of each claim, and of which source."""
    return [(claim.plain, claim.subject) for claim in split(text) if claim.is_claim]


NOT_CLAIMS = {
    "heading": "## 1. Task",
    "heading of the workflow": "## 2. Workflow: input → model → output",
    "heading of the papers": "## 3. Papers and tools",
    "heading as the layout of a request writes it": "## What task the user is trying to perform",
    "heading that names a model": "### SISR-Any-LIIF-EDSR",
    "heading that asks how a model works": "### How SISR-Any-LIIF-EDSR works",
    "heading without a verb": "## Image enlargement",
    "underlined heading": "Papers and tools\n----------------",
    "HTML heading": "<h2>Papers and tools</h2>",
    "LaTeX heading": r"\section{Papers and tools}",
    "heading with a number of its own": "### 2.1 Input",
    "label": "**Input:**",
    "label line": "Related papers:",
    "bold line": "**Papers and tools**",
    "greeting": "Hello!",
    "closing greeting": "I hope this helps!",
    "praise of the question": "Great question!",
    "bare question": "How does AI preserve detail?",
    "bare question with the user's own number": "How does 4x work?",
    "no LLM": "No LLM took part in this answer: it is put together from the sentences of the supplied sources.",
    "LLM": "Drafted by gpt-4o-mini; every claim was checked against the supplied sources.",
    "none passed": "No statement about how SISR-Any-LIIF-EDSR works passed the checks.",
    "none passed of a paper": "No statement about this paper passed the checks.",
    "ended": "The answer ended before it came to the output of SISR-Any-LIIF-EDSR.",
    "not used": "Supplied, but not used here:",
    "none bears": "None of the supplied papers bears on the question.",
    "fits": "This fits the question.",
    "does not fit": "This does not fit the question.",
    "relevance": "This paper bears on the question.",
    "relevance of a named paper": "FeatSharp is relevant to the question.",
    "lead-in": "Here are the relevant papers and tools:",
    "link alone": "https://github.com/yinboc/liif",
    "link as here": "- [here](https://github.com/yinboc/liif)",
    "name alone": "- **FeatSharp: Your Vision Model Features, Sharper**",
    "label of a link": "[demo]: https://github.com/yinboc/liif",
    "table header": "| Model | Input | Output |\n|---|---|---|",
}


@pytest.mark.parametrize("text", NOT_CLAIMS.values(), ids=NOT_CLAIMS.keys())
def test_asserts_nothing(text: str) -> None:
    found = split(text)
    assert found
    assert [(claim.plain, claim.reason) for claim in found if claim.is_claim] == []
    assert all(claim.reason for claim in found)


CLAIMS = {
    "heading that asserts": "## LIIF removes all noise",
    "heading that takes what it asks for granted": "## Why LIIF is the right choice",
    "heading with a plural subject": "## ResNets outperform ViTs",
    "heading with a result": "## 98.91% accuracy",
    "heading with a label and a value": "## Task: super-resolution",
    "heading with a count": "## 16 models",
    "heading with a verb that is irregular": "## LIIF won",
    "heading that is a sentence's length": "## AI in images of any kind for users in a hurry or with old phones",
    "bold line that asserts": "**Noise gone without a trace**",
    "line with a colon that asserts": "It keeps all detail:",
    "heading that praises": "## The best choice",
    "heading that denies": "## No artefacts",
    "heading with an arrow": "## photo → LIIF → sharp image",
    "heading in another language": "## Elimina el ruido",
    "heading in Korean": "## 모든 잡음을 제거합니다",
    "underlined heading that asserts": "LIIF removes all noise\n=====",
    "HTML heading that asserts": "<h1>LIIF removes all noise</h1>",
    "label with a value": "Input: a low-resolution photo",
    "arrow": "photo → LIIF → sharp image",
    "fragment in a list": "- arbitrary-scale upsampling",
    "advice": "Use LIIF for this.",
    "command": "```\nrun demo.py --scale 4\n```",
    "comment in code": "```python\n# LIIF removes noise\n```",
    "inline code": "`LIIF removes noise`",
    "info string of a fence that says something": "```LIIF removes noise\n```",
    "praise": "An ideal choice.",
    "question that names a source": "What does LIIF do?",
    "question with a number of its own": "How does 16x work?",
    "question that denies": "Isn't noise removed?",
    "question with a tag": "Is noise removed, right?",
    "question that tells": "Did you know that AI removes all noise?",
    "question without an asking word": "AI removes all noise?",
    "greeting that goes on": "Sure, AI removes all noise.",
    "making that goes on": "No LLM took part in this answer and noise is removed.",
    "making with a smuggled topic": "No statement about the fact that noise is removed passed the checks.",
    "relevance with a reason": "This paper bears on the question because it removes noise.",
    "relevance of a model": "LIIF is an ideal choice for the question.",
    "label of the wrong kind": "Recommended model: FeatSharp",
    "HTML comment": "<!-- LIIF removes noise -->",
    "hidden HTML": '<span hidden style="display:none">LIIF removes noise</span>',
    "words in an attribute": '<p title="LIIF removes noise">Task</p>',
    "unknown tag": "<LIIF removes noise>",
    "style sheet with words": '<style>p::after { content: "LIIF removes noise" }</style>',
    "title of a Markdown link": '[here](https://github.com/yinboc/liif "LIIF removes noise")',
    "footnote text": "x[^1]\n\n[^1]: LIIF removes noise.",
    "footnote that nothing marks": "[^9]: LIIF removes noise.",
    "mark without a footnote": "[^removes-all-noise]",
    "table row": "| Model | Gives |\n|---|---|\n| LIIF | sharp images |",
    "table header that asserts": "| LIIF removes noise |\n|---|\n",
    "table header that is a sentence": "| LIIF | removes | noise |\n|---|---|---|",
    "label of a link that says something": "[noise is removed]: https://github.com/yinboc/liif",
    "words of a link that is no link": '<a href="https://github.com/yinboc/liif" title="LIIF removes noise">x</a>',
    "words of an image": "![LIIF removes noise](https://github.com/yinboc/liif)",
    "bold praise": "**Stunning images**",
    "table without a rule": "| LIIF | sharp images |",
    "quote block": "> LIIF removes noise.",
    "LaTeX item": r"\begin{itemize} \item LIIF removes noise \end{itemize}",
    "LaTeX heading that asserts": r"\section{LIIF removes noise}",
    "zero-width characters": "LI\u200bIF re\u200bmoves noise.",
    "entities": "LIIF &#114;emoves noise.",
    "task list": "- [x] LIIF removes noise",
    "unclosed fence": "```\nLIIF removes noise",
    "unclosed tag": "<p>LIIF removes noise <b",
    "unclosed comment": "<!-- LIIF removes noise",
}


@pytest.mark.parametrize("text", CLAIMS.values(), ids=CLAIMS.keys())
def test_asserts(text: str) -> None:
    assert claims(text)


def test_markup_and_invisible_characters_are_not_judged() -> None:
    text = "The **out**put &amp; _input_ of `LI\u200bIF` are [sharp](https://github.com/yinboc/liif).[^1]\n\n[^1]: P1"
    (claim,) = [claim for claim in split(text) if claim.is_claim]
    assert claim.plain == "The output & input of LIIF are sharp ."
    assert text[claim.start : claim.end] == claim.text
    assert claim.text.endswith("liif).")


TITLE = REQUEST.papers[1].title
SUBJECTS: dict[str, tuple[str, list[tuple[str, str | None]]]] = {
    "own naming": ("FeatSharp upsamples.", [("FeatSharp upsamples.", "P1")]),
    "full title": (f'"{TITLE}" is on saliency.', [(f'"{TITLE}" is on saliency.', "P2")]),
    "id": ("P2 is on saliency.", [("P2 is on saliency.", "P2")]),
    "id in brackets": ("Saliency drops [P2.1].", [("Saliency drops [P2.1].", "P2")]),
    "id in brackets behind the full stop": (
        "Saliency drops. [P2] It upsamples. (P1)",
        [("Saliency drops. [P2]", "P2"), ("It upsamples. (P1)", "P1")],
    ),
    "position": ("The second paper is on saliency.", [("The second paper is on saliency.", "P2")]),
    "number": ("Paper 1 upsamples.", [("Paper 1 upsamples.", "P1")]),
    "description": ("The saliency paper uses ResNets.", [("The saliency paper uses ResNets.", "P2")]),
    "the only model": ("The recommended model upsamples.", [("The recommended model upsamples.", "M1")]),
    "user": ("### LIIF\n\nThe user enlarged an image.", [("The user enlarged an image.", "Q")]),
    "heading": ("### LIIF\n\nNoise is removed.", [("Noise is removed.", "M1")]),
    "heading of a part": ("## LIIF\n\n## Input\n\nAny image fits in.", [("Any image fits in.", "M1")]),
    "deeper heading": ("## LIIF\n\n### On quality\n\nNoise is removed.", [("Noise is removed.", "M1")]),
    "new section": ("### LIIF\n\n## 3. Papers\n\nNetworks suppress saliency.", [("Networks suppress saliency.", None)]),
    "bold line": ("**FeatSharp**\n\nFeatures get sharper.", [("Features get sharper.", "P1")]),
    "line with a colon": ("FeatSharp:\nFeatures get sharper.", [("Features get sharper.", "P1")]),
    "lead of an item": (
        "- **FeatSharp** — upsamples. Keeps detail.\n- Noise goes.",
        [("FeatSharp — upsamples.", "P1"), ("Keeps detail.", "P1"), ("Noise goes.", None)],
    ),
    "item within an item": (
        "- **FeatSharp**\n  - Keeps detail.\n- **LIIF**\n  - Keeps detail.",
        [("Keeps detail.", "P1"), ("Keeps detail.", "M1")],
    ),
    "text after a list": (
        "- **FeatSharp**\n  - Keeps detail.\n\nNoise goes.",
        [("Keeps detail.", "P1"), ("Noise goes.", None)],
    ),
    "it": ("FeatSharp is new. It upsamples.", [("FeatSharp is new.", "P1"), ("It upsamples.", "P1")]),
    "it, below another heading": (
        "FeatSharp is new.\n\n### LIIF\n\nIt upsamples.",
        [("FeatSharp is new.", "P1"), ("It upsamples.", "M1")],
    ),
    "own naming under another's heading": ("### LIIF\n\nFeatSharp upsamples.", [("FeatSharp upsamples.", "P1")]),
    "label": ("### LIIF\n\n- **Input:** a photo", [("Input: a photo", "M1")]),
    "step of the workflow": ("## 2. Workflow\n\nInput: a photo", [("Input: a photo", "M1")]),
    "arrow": ("## 2. Workflow\n\nphoto → sharp photo", [("photo → sharp photo", "M1")]),
    "summary of all": ("**FeatSharp**\n\n## Summary\n\nNoise goes.", [("Noise goes.", None)]),
    "label above": ("### LIIF\n\n- **Input:**\n  - a photo", [("Input: a photo", "M1")]),
    "row": (
        "| Model | Gives |\n|---|---|\n| LIIF | images |\n| FeatSharp | maps |",
        [("Model: LIIF; Gives: images", "M1"), ("Model: FeatSharp; Gives: maps", "P1")],
    ),
    "row by columns": (
        "| | LIIF | FeatSharp |\n|---|---|---|\n| Input | photo | maps |",
        [("Input: photo", "M1"), ("Input: maps", "P1")],
    ),
    "HTML row": (
        "<table><tr><th>Model</th><th>Gives</th></tr>\n<tr><td>LIIF</td><td>images</td></tr></table>",
        [("Model: LIIF; Gives: images", "M1")],
    ),
    "HTML list": ("<ul><li><b>FeatSharp</b>: upsamples.</li><li>LIIF: enlarges.</li></ul>", [
        ("FeatSharp: upsamples.", "P1"), ("LIIF: enlarges.", "M1"),
    ]),
    "two sources": ("FeatSharp and LIIF upsample.", [("FeatSharp and LIIF upsample.", None)]),
    "two sources under one's heading": ("## LIIF\nLIIF is unlike FeatSharp.", [("LIIF is unlike FeatSharp.", "M1")]),
    "name inside a quotation": (
        '## LIIF\nIt says: "the FeatSharp way of doing this".',
        [('It says: "the FeatSharp way of doing this".', "M1")],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), SUBJECTS.values(), ids=SUBJECTS.keys())
def test_subject(text: str, expected: list[tuple[str, str | None]]) -> None:
    assert claims(text) == expected


TIES = {
    "line": ("LIIF: https://github.com/yinboc/liif", [(("M1",), None)]),
    "field": ("LIIF, code: https://github.com/yinboc/liif", [(("M1",), "github")]),
    "under a heading": ("### LIIF\n\nPaper: <https://arxiv.org/pdf/2012.09161>", [(("M1",), "paper")]),
    "link text": ("- [FeatSharp](https://github.com/yinboc/liif)", [(("P1",), None)]),
    "two on one line": (
        "FeatSharp: http://arxiv.org/pdf/2502.16025v1.pdf, LIIF: https://github.com/yinboc/liif",
        [(("P1",), None), (("M1",), None)],
    ),
    "link text that is a field": (
        "LIIF: [code](https://arxiv.org/pdf/2012.09161), [paper](https://github.com/yinboc/liif)",
        [(("M1",), "github"), (("M1",), "paper")],
    ),
    "column": (
        "| Model | Code |\n|---|---|\n| LIIF | [link](https://github.com/yinboc/liif) |",
        [(("M1",), "github")],
    ),
    "column of both": (
        "| Model | Paper / code |\n|---|---|\n| LIIF | https://github.com/yinboc/liif |",
        [(("M1",), None)],
    ),
    "row": ("| LIIF | https://github.com/yinboc/liif |", [(("M1",), None)]),
    "reference": ("[LIIF]: https://github.com/yinboc/liif", [(("M1",), None)]),
}


@pytest.mark.parametrize(("text", "expected"), TIES.values(), ids=TIES.keys())
def test_ties_links_to_sources(text: str, expected: list[tuple[tuple[str, ...], str | None]]) -> None:
    (claim,) = [claim for claim in split(text) if claim.is_claim]
    assert claim.kind == "entry"
    assert [(tie.said_of, tie.said_as) for tie in claim.links] == expected
    assert all(text[tie.start : tie.end].startswith("http") for tie in claim.links)


def test_a_name_or_a_quotation_is_not_cut() -> None:
    text = 'The paper says: "It works. It is new." "It is fast." Then it ends. "Is it?" was asked.'
    assert [plain for plain, _ in claims(text)] == [
        'The paper says: "It works. It is new." "It is fast."',
        "Then it ends.",
        '"Is it?" was asked.',
    ]


def test_bars_and_latex_within_a_sentence_are_its_words() -> None:
    text = r"We minimise $|x| + |y|$ with \emph{TV-$L^1$} and a * b."
    assert [plain for plain, _ in claims(text)] == [text]


def test_a_sentence_behind_a_label_is_one_of_its_own() -> None:
    said = 'The user says: "It is small." The supplied sources do not say what LIIF takes as input.'
    text = f"## LIIF\n\n- **Input:** {said}"
    assert claims(text) == [
        ('The user says: "It is small."', "Q"),
        ("The supplied sources do not say what LIIF takes as input.", "M1"),
    ]


def test_hard_wraps_are_one_sentence_and_labels_are_not() -> None:
    text = "Noise is\r\nremoved from\r\nimages.\r\nInput: a photo\r\nOutput: an image"
    assert [plain for plain, _ in claims(text)] == [
        "Noise is removed from images.",
        "Input: a photo",
        "Output: an image",
    ]


def test_footnote_of_an_answer_is_a_note() -> None:
    found = [
        claim for claim in split('x is y.[^1]\n\n[^1]: P1, summary: "We introduce. It \\*works\\*."') if claim.is_claim
    ]
    assert [(claim.kind, claim.plain) for claim in found] == [
        ("statement", "x is y."),
        ("note", 'P1, summary: "We introduce. It *works*."'),
    ]


def test_a_claim_too_long_to_read_is_still_there() -> None:
    (claim,) = split(f"| {'noise ' * 1_000} |")
    assert claim.is_claim
    assert claim.kind == "too_long"


# Properties

WORDS = ("wolf", "fern", "moss", "LIIF", "reed")
MARKS = (
    "*",
    "**",
    "_",
    "`",
    "```",
    "~~~",
    "|",
    "#",
    "## ",
    ">",
    "- ",
    "\n",
    "\r\n",
    "\n\n",
    "[",
    "]",
    "(",
    ")",
    "<",
    "!",
    "&amp;",
)
MORE = (
    "\\",
    "~~",
    "  ",
    "1. ",
    "2) ",
    "^",
    ":",
    ": ",
    "---",
    "|---|",
    "<b>",
    "</b>",
    "<br>",
    "<td>",
    "<p>",
    "<!--",
    "-->",
    ". ",
    "? ",
    '"',
)
HOSTILE = (
    "\u200b",
    "\u202e",
    "\x00",
    "\ud800",
    "\ufffc",
    "\t",
    "\u00a0",
    "가다",
    "。",
    "$x^2$",
    "\\item ",
    "\\textbf{",
    "}",
    "[1]",
    "¹",
)
PIECES = st.lists(st.sampled_from(WORDS + MARKS + MORE + HOSTILE), max_size=40).map("".join)
# What is markup though it holds letters: labels of footnotes, the language of a fence, marks of lists.
LETTERS_OF_MARKUP = re.compile(
    r"\[\^[\w.-]+\]:?|(?:```|~~~)[ \t]*[^\n\s`]*|<!--|</?(?:b|br|td|p)>|&amp;|\\item|\\textbf"
)


def check_spans(text: str, found: tuple[TextClaim, ...]) -> None:
    at = 0
    for claim in found:
        assert at <= claim.start < claim.end <= len(text)
        assert text[claim.start : claim.end] == claim.text
        at = claim.end


@settings(max_examples=400, deadline=None)
@given(PIECES)
def test_no_word_slips_between_claims(text: str) -> None:
    found = split(text)
    check_spans(text, found)
    covered = {at for claim in found for at in range(claim.start, claim.end)}
    muted = {at for match in LETTERS_OF_MARKUP.finditer(text) for at in range(*match.span())}
    for match in re.finditer("|".join(WORDS), text):
        if not muted.issuperset(range(*match.span())):
            assert covered.issuperset(range(*match.span())), (text, match)


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(), max_size=200))
def test_any_text_has_exact_spans(text: str) -> None:
    found = split(text)
    check_spans(text, found)
    if any(character.isalpha() for character in text) and not re.search(r"[<\[`~\\&#]", text):
        assert found


@pytest.mark.parametrize(
    "start", ["# ", "- **", "| ", "> ", "[^1]: ", "```\n", "<p title='", '"', "FeatSharp says: “", "**"]
)
def test_one_long_line_is_read_in_time(start: str) -> None:
    text = start + "LIIF removes FeatSharp noise " * 10_000
    begin = time.perf_counter()
    found = split(text)
    # Some 0.5 s alone on one core; work that grows with the square of the names in it takes hours.
    assert time.perf_counter() - begin < 30
    assert any(claim.is_claim for claim in found)


@pytest.mark.parametrize(
    "piece",
    [
        "[",
        "#",
        "|",
        "> ",
        "- ",
        "`",
        "*",
        "_",
        "<",
        "<a ",
        "![](",
        "\\",
        " ",
        "\n",
        '"',
        "(",
        "a|",
        "&",
        "x. ",
        "- - x",
    ],
)
def test_time_is_linear(piece: str) -> None:
    def seconds(n_chars: int) -> float:
        text = piece * (n_chars // len(piece)) + "x"
        start = time.perf_counter()
        split(text)
        return time.perf_counter() - start

    seconds(1_000)
    # Quadratic work would take 64 times as long; the constant forgives a busy machine.
    assert seconds(160_000) < 24 * seconds(20_000) + 1.0
