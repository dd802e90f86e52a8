"""Deterministic findings on a claim or a link: few and precise, each module one layer of the judge."""
