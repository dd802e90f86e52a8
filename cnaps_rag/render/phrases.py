"""The fixed words of our own answers: what is absent, what did not pass, who drafted. Checks know them by these."""

from __future__ import annotations

import re

from cnaps_rag.draft import SlotName

NO_LLM = "No LLM took part in this answer: it is put together from the sentences of the supplied sources."
UNSHOWN_LINK = "a link was supplied that cannot be shown"
NOT_USED = "Supplied, but not used here:"
NO_SUMMARY = "No summary was supplied."
NO_MODEL = "No model was recommended for this question."
NO_PAPER = "No related paper was supplied."
NO_BEARING_PAPER = "None of the supplied papers bears on the question."
FITS = "This fits the question."
DOES_NOT_FIT = "This does not fit the question."
FIT_OPEN = "Whether this fits the question is left open."
NOT_TRACEABLE = "not traceable"

LLM_FAILED = "The LLM failed, so the answer was drafted without it"
REPAIR_GIVEN_UP = "The repair of rejected claims was given up"
BROKEN_OFF = "The reply of the LLM broke off, and what it had told by then is shown"
LEFT_OUT = "Some sentences of the supplied sources did not fit into the prompt and were left out"
NOTES = (LLM_FAILED, BROKEN_OFF, REPAIR_GIVEN_UP, LEFT_OUT)
"""What a note on the making of an answer may begin with. These words are shown; what follows them (an error's own
words, which may hold anything) is kept for programs alone."""

_NOT_TOLD = {
    "task": "The supplied sources do not say what the task is.",
    "input": "The supplied sources do not say what {name} takes as input.",
    "processing": "The supplied sources do not say how {name} works.",
    "output": "The supplied sources do not say what {name} gives as output.",
    "paper": NO_SUMMARY,
}
_TOPICS = {
    "task": "the task",
    "input": "the input of {name}",
    "processing": "how {name} works",
    "output": "the output of {name}",
    "paper": "this paper",
}


def not_told(slot: SlotName, name: str) -> str:
    """What is said of a slot that the sources leave open; an absence claim about `name`."""
    return _NOT_TOLD[slot].replace("{name}", name)


def fit_not_told(name: str) -> str:
    """What is said of a model whose fit the sources leave open; an absence claim about `name`."""
    return f"The supplied sources do not say that {name} does what the question asks."


def no_fit_passed(name: str) -> str:
    """What is said of a model on whose fit no statement passed the checks."""
    return f"No statement about the fit of {name} passed the checks."


def none_passed(slot: SlotName, name: str) -> str:
    """What is said of a slot that the checks have emptied while the sources may still tell of it."""
    return f"No statement about {_TOPICS[slot].replace('{name}', name)} passed the checks."


def ended(slot: SlotName, name: str) -> str:
    """What is said of a slot that a broken-off reply did not reach."""
    return f"The answer ended before it came to {_TOPICS[slot].replace('{name}', name)}."


def closest_sentence(quote: str) -> str:
    """Why a paper was not used, told by its own closest sentence; `quote` comes in its quotation marks."""
    return f"Its closest sentence to the question is: {quote}"


def shown_note(note: str) -> str | None:
    """What of `note` is shown: its fixed first sentence; None where it is kept for programs alone."""
    return next((f"{fixed}." for fixed in NOTES if note.startswith(fixed)), None)


LLM_NAME = r"[\w./@+:-]{1,80}"
"""What a name of an LLM may look like where it is shown; a server may call its LLM anything."""


def drafted_by(drafter: str) -> str:
    """Who drafted: `drafter` is ``extractive`` or the name of an LLM, which is shown where it looks like one."""
    if drafter == "extractive":
        return NO_LLM
    name = drafter if re.fullmatch(LLM_NAME, drafter) else "an LLM"
    return f"Drafted by {name}; every claim was checked against the supplied sources."
