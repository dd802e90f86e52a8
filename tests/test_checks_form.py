"""Claims that are none in form, and texts that are not English."""

from __future__ import annotations

import pytest

from cnaps_rag.checks.form import check_form
from cnaps_rag.checks.language import is_english
from cnaps_rag.words import word_set

QUESTION = "How does AI keep the edges of low-resolution images sharp?"
VOCABULARY = word_set("how does ai keep the edges of low resolution images sharp")

FAULTY = [
    ("cut in mid-word", "The user wants to keep images sha"),
    ("ends in an article", "The user wants to keep the"),
    ("echoes the question", QUESTION),
    ("echoes the question without its mark", QUESTION[:-1] + "."),
    ("asks", "How does LIIF keep edges sharp?"),
    ("echoes a placeholder", "<claim text>"),
    ("echoes a template's words", 'One sentence that begins "The user wants to"'),
    ("nothing", "..."),
    ("ids", "P1.2, P1.3"),
    ("n/a", "N/A"),
]


@pytest.mark.parametrize(("what", "claim"), FAULTY, ids=[row[0] for row in FAULTY])
def test_faults_of_form(what: str, claim: str) -> None:
    assert [fault.layer for fault in check_form(claim, QUESTION, VOCABULARY)] == ["form"]


@pytest.mark.parametrize(
    "claim",
    [
        "The user wants to keep images sharp",
        "The user wants sharp images.",
        "Input: a low-resolution photo",
        'The user asks: "How does AI keep the edges of low-resolution images sharp?"',
        'The user asks: "What does {{ 7 * 7 }} print in <name of file>?"',
    ],
)
def test_whole_claims(claim: str) -> None:
    assert check_form(claim, QUESTION, VOCABULARY) == ()


@pytest.mark.parametrize(
    ("text", "english"),
    [
        ("The method is fast and robust.", True),
        ("LIIF", True),
        ('The user asks: "할아버지" means what in the diary of the family?', True),
        ("Das Verfahren ist schnell und nicht teuer.", False),
        ("La méthode est rapide et ne coûte pas cher.", False),
        ("El método es rápido y no es caro para los usuarios.", False),
        ("이 모델은 빠릅니다.", False),
        ("このモデルは速い。", False),
        ("Метод быстрый.", False),
    ],
)
def test_language(text: str, english: bool) -> None:
    assert is_english(text) is english
