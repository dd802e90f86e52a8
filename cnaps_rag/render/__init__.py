"""Sections and report → Markdown, plain text, JSON, one HTML page; what is foreign passes through `shown` first."""
