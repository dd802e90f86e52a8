"""How good answers and their validator are: measured on a caller's own requests and answers.

Read in this order: `intervals`, `mutations` (the validator under test).
"""
