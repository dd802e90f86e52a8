"""Answers over HTTP: OpenAI-compatible chat, native endpoints with events, a page; `make_app` puts them together."""
