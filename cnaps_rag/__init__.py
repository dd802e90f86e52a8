"""Answers from a handful of supplied AI models and papers, and from nothing else.

Read the modules in this order; each imports only earlier ones:

- `errors`: every error, one tree
- `settings`: all numbers and names a caller may change
- `links`: canonical identity of a link; every link-like thing in a text
- `sources`: one supplied model or paper
- `request`: text or JSON → `AnswerRequest`, and back
- `sentences`: any text → its sentences as exact offsets
- `passages`: sentences of the sources, each with an id
- `encoder`: texts → unit vectors
- `index`: `PassageIndex`: passages → hits
- `fit`: which sources bear on the question, whether each model fits it
- `draft`: `Draft`, `Slot`, `Claim`; the JSON schema of one request
- `prompt`: request + hits → messages within a token budget
- `llm`: messages + schema → reply, from any OpenAI-compatible endpoint
- `extractive`: a draft without any LLM
- `verifier`: (evidence, claim) pairs → probability of support
- `report`: verdicts, findings, citations, sections, ledger
- `checks`: deterministic findings: links, quotes, numbers, names, wording, attribution
- `render`: sections + report → Markdown, plain text, JSON, HTML
- `answer`: `Answer`
- `validation`: draft or any text + request → `Report`; only here is an `Answer` made
- `pipeline`: `Answerer`: the whole way, with repair
- `cli`: the command line
"""

