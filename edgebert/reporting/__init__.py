"""Results as people and programs read them: terminal tables, Markdown, JSON, one-file HTML.

`report` says what a report is; `sources` reads what other commands wrote, and `merging` makes one
report of it. `places` tells devices apart, `sections` says what stands where, `tables`,
`detail_tables` and `operation_tables` what the tables say, `figures` what is drawn (with `plots`,
`bars` and `curves` on a `canvas`). `terminal`, `markdown` and `html` only draw, so all three show
the same figures. `changes` tells of old measurements against new ones. `units` writes numbers.
Nothing here measures or judges anything.
"""
