"""The page at `/`: a request pasted, its answer claim by claim, the evidence beside it."""
