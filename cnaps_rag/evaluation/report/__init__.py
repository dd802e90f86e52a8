"""Reports on a run, alone or against another: text, Markdown, rows, one page. Each form reads `summary`, none scores.

Read `summary`, `wording`, `text`, `markdown`, `rows`, `plots`, `told`, `cases`, `html`.
"""
