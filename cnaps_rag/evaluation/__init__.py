"""How good answers and their validator are: measured on a caller's own requests and answers.

Read in this order: `suite_files`, `suite` (cases with gold), `outcome` (what is scored of an answer), `readings` (what
the verifier decides), `metrics`, `statistics`, `runs`, `gate`, `report`, `llm_judge`; and apart from these `intervals`
and `mutations` (the validator under test).
"""
