from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnaps_rag.sentences import split_sentences


def split(text: str) -> list[str]:
    return [text[start:end] for start, end in split_sentences(text)]


@pytest.mark.parametrize(
    "marked",
    [
        # abbreviations
        "We use images, e.g. photos, i.e. pixels.| It works.",
        "Modalities (e.g., images) vs. text, cf. CLIP.| It works.",
        "See Fig. 2, Figs. S3 and Eq. (4), Sec. III, No. 5 and Tab. 1.| It works.",
        "Smith et al. (2020) follow J. R. R. Tolkien and Dr. Who.| We do not.",
        "As shown by Smith et al.| We improve on it.",
        "Noise is i.i.d. Gaussian w.r.t. the input of the U.S. Census.| It works.",
        "It handles cats, dogs, etc.| We test it.",
        "Cats, dogs, etc. are handled (avg. 6.9x faster, approx. 5 s).| We test it.",
        "Released after Dec. 2024.| The answer is no.| We tested it on a mobile app.| LLMs fail.",
        r"Sensors, \textit{i.e.} LiDAR, help.| It works.",
        # acronyms are no abbreviations
        "This is blind SR.| Nevertheless, it works for AL.| Active learning is English-centric MT.| Yes.",
        # words that nupunkt takes for abbreviations
        "We do many tasks.| By deblurring.| We cure cancer.| It works.",
        # numbers, versions, names, files, links
        "It gains 3.5 points with v2.0.1, Qwen2.5 and Node.js.| See README.md.| Run train.py now.",
        "Code is at https://github.com/a/b.| It uses torch.Tensor and sklearn.Pipeline.",
        "We release our code.| https://github.com/a/b",
        "It took 9.5 ms.| Then 10 s.| GPT-4.| 3D works.",
        # LaTeX
        r"The value $x. Y$ holds for $0.5 < p.$| It grows by 4.7\% as in~\cite{a.b}.| \textit{CoF} works.",
        "It costs $5.| We paid $10.| Fine.",
        # lists
        "Two aspects: (1) One is fast.| (2) The other is not.",
        "Capabilities: (1.) The ability to add; (2.) The ability to remove; (3.) An interpretable one.| Done.",
        "There are three levels: 1). Domain level: We tune.| 2). Adaptor level: We adapt.",
        "1. First thing.| 2. Second thing.",
        "Steps:\n|- one\n|- two\nand a half\n|- three",
        "Steps.\n|1) one\n|2) two",
        "- one\n|- two\n\n|Done",
        "Languages (106) and evasion (59).| We conduct both.",
        "Good for language learning\n- but not for behaviour.",  # a dash, no bullet
        # line and paragraph breaks
        "A hard-wrapped\nline.|\nAnother\none.",
        "A heading|\n\nA paragraph| \n \t\nAnother.",
        # quotation marks, brackets, references, other marks
        'He said "stop."| Then (it stopped.)| “Why?”| It did.',
        "It is shown.[12]| It is shown.[3,4]| Really!| So... what?| Well…| Yes.",
        '"Is it sharp?" he asked.| How?!| Like this.',
        "**It works.**| _It does._",
        # a forgotten blank
        "We make a contribution.|First, we construct one.|However, it fails.",
        # lower case
        "it looks sharp.| how does it work",
        # other scripts
        "你好。|世界！|真的吗？|我们使用CLIP.|它有效。",
        "“你好。”他说。|「今日。」です。",
        "글자로 바꿔 줬어요.| 어떻게 읽나요?",
        "¿La máquina traduce?| ¡Sí!| Es z.B. bzw. so.",
        "यह है।| ठीक है।",
        "هل هذا؟| نعم.",
    ],
)
def test_sentences_end_at_each_mark(marked: str) -> None:
    assert split(marked.replace("|", "")) == [sentence.strip() for sentence in marked.split("|")]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("", []),
        (" \n\u00a0\n\n\t", []),
        ("...", ["..."]),
        ("— . — ! —", ["— . — ! —"]),
        ("It works. ---", ["It works. ---"]),
        ("a", ["a"]),
        ("  One sentence \n", ["One sentence"]),
    ],
)
def test_texts_with_little_in_them(text: str, sentences: list[str]) -> None:
    assert split(text) == sentences


def test_an_overlong_sentence_is_cut_at_a_clause() -> None:
    clause = "and so it goes on, "
    parts = split(clause * 400 + "to the end.")
    assert len(parts) > 3
    assert all(1_000 < len(part) <= 2_000 and part.endswith("on,") for part in parts[:-1])
    assert [len(part) for part in split("x" * 4_500)] == [2_000, 2_000, 500]


PIECES = st.sampled_from(
    [
        *"aB.!?…\n \u00a0\u200b。！？．」“”\"'()[]{}$*_-•1;:,\t\r\x00\u2028",
        "e\u0301",
        "\U0001f600",
        "İ",
        "ß",
        ". ",
        "\n\n",
        "e.g. ",
        "et al. ",
        "Fig. ",
        "1. ",
        "(1.) ",
        "\n- ",
        "\\cite{a.b}",
        "3.5",
        "U.S. ",
        "etc.",
        "The ",
        "we ",
        "一",
    ]
)


@given(st.one_of(st.text(max_size=200), st.lists(PIECES, max_size=60).map("".join)))
@settings(max_examples=600)
def test_only_white_space_lies_outside_sentences(text: str) -> None:
    before = 0
    for start, end in split_sentences(text):
        assert before <= start < end <= len(text)
        assert not text[before:start].strip()
        assert not text[start].isspace()
        assert not text[end - 1].isspace()
        assert end - start <= 2_000
        before = end
    assert not text[before:].strip()


N = 200_000


@pytest.mark.parametrize(
    "unit",
    [
        ". ",
        "! ",
        "?)",
        ".)",
        ".\n",
        ".\x0b",
        "a.",
        "A. ",
        "a. ",
        "1. ",
        "(1.) ",
        "$a. ",
        "$",
        "- a\n",
        "\n",
        "\n ",
        " ",
        '"',
        "(",
        ".” ",
        "。",
        "。」",
        "…",
        "...",
        "e.g. ",
        "[1",
        ".[1,1",
        "\\a{",
        "a",
        "a ",
        "tasks.However, ",
        "et al. The ",
    ],
)
def test_hostile_text_is_split_in_linear_time(unit: str) -> None:
    text = unit * (N // len(unit))
    start = time.process_time()
    split_sentences(text)
    # Quadratic splitting of 200,000 characters takes a minute and more.
    assert time.process_time() - start < 5


# Each boundary of the first 27 abstracts drawn with seed 20261121 was read: where their 201 sentences end.
READ_ENDS = {
    "2504.10084": [270, 487, 586, 784, 1079, 1175, 1365, 1568, 1795, 1857],
    "2606.06399": [202, 526, 810, 1124, 1292],
    "2506.04077": [184, 599, 743, 997],
    "2508.05803": [25, 119, 297, 476, 629, 973, 1221, 1355],
    "2606.07175": [76, 286, 453, 681, 958, 1246],
    "2603.06656": [139, 213, 323, 492, 750, 1000],
    "2504.19314": [193, 400, 550, 629, 759, 869, 981, 1156, 1232, 1493, 1628],
    "2509.21938": [155, 407, 541, 720, 876, 1038, 1191, 1516, 1734, 1804],
    "2506.15276": [189, 309, 461, 582, 792, 945, 1063, 1156, 1371],
    "2511.15967": [148, 318, 523, 617, 808, 1006, 1237],
    "2509.05307": [100, 247, 424, 632, 768, 968],
    "2509.07723": [157, 333, 533, 640, 779, 920, 1128, 1240],
    "2601.15182": [209, 328, 443, 582, 853],
    "2512.02472": [184, 294, 469, 747, 977, 1077, 1271, 1517],
    "2606.28116": [157, 339, 582, 754, 829, 1060],
    "2505.21374": [122, 255, 439, 624, 810, 953, 1203, 1429, 1555, 1734, 1807],
    "2504.10198": [148, 356, 714, 846],
    "2605.01359": [328, 775],
    "2604.19035": [170, 330, 516, 703, 877, 1037, 1108],
    "2512.09976": [74, 234, 348, 560, 685],
    "2508.06571": [86, 503, 695, 847, 1000, 1251, 1399, 1489],
    "2507.17616": [93, 323, 460, 636, 755, 939, 1078, 1233, 1400, 1644, 1877],
    "2510.12807": [198, 383, 595, 785, 972, 1135, 1329],
    "2504.08550": [262, 421, 622, 819, 934, 1046, 1164, 1312, 1464],
    "2505.23883": [141, 255, 428, 505, 685, 762, 926, 1132, 1273, 1444],
    "2602.23224": [198, 344, 638, 781, 961, 1054, 1287, 1424, 1476],
    "2505.05853": [144, 248, 424, 577, 796, 920, 1013, 1127, 1240],
}


def test_sentences_of_abstracts_end_where_a_reader_ends_them(
    read_jsonl: Callable[[str], list[dict[str, Any]]],
) -> None:
    drawn = random.Random(20261121).sample(read_jsonl("abstracts.jsonl.gz"), 27)
    assert [abstract["id"] for abstract in drawn] == list(READ_ENDS)
    wrong = {
        abstract["id"]: set(READ_ENDS[abstract["id"]]) ^ {end for _, end in split_sentences(abstract["summary"])}
        for abstract in drawn
    }
    assert {arxiv_id: ends for arxiv_id, ends in wrong.items() if ends} == {}
    assert sum(map(len, READ_ENDS.values())) == 201
