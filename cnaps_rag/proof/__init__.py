"""An answer and all that made it in one file; checked again without an LLM, compared with another.

Read in this order: `bundle` (the file), `installed` (which encoder and verifier are here), `proving` (answer → bundle),
`parts` (what a bundle alone can tell), `replay` (what comes out when it is all done again), `verify`, `diff`, `told`.

A bundle is tamper-evident, not signed: who changes it and makes it fit throughout again, with another LLM's replies
say, has made another bundle, and only the one who keeps the first can tell.
"""

from __future__ import annotations

from cnaps_rag.proof.bundle import ProofBundle, canonical_bytes, read_bundle
from cnaps_rag.proof.diff import BundleDiff, diff_bundles
from cnaps_rag.proof.parts import Check, check_bytes
from cnaps_rag.proof.proving import Proved, build_bundle, prove
from cnaps_rag.proof.told import diff_values, render_diff, render_verification, verification_values
from cnaps_rag.proof.verify import Verification, load_bytes, verify_bundle

__all__ = [
    "BundleDiff",
    "Check",
    "ProofBundle",
    "Proved",
    "Verification",
    "build_bundle",
    "canonical_bytes",
    "check_bytes",
    "diff_bundles",
    "diff_values",
    "load_bytes",
    "prove",
    "read_bundle",
    "render_diff",
    "render_verification",
    "verification_values",
    "verify_bundle",
]
