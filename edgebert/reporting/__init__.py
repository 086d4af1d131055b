"""Reports of results: terminal tables, Markdown, JSON and self-contained HTML.

`report` defines the content of a report. `sources` reads the output files of other commands, and
`merging` combines them. `configurations` identifies and names devices. `sections` orders the
content; `tables`, `detail_tables` and `operation_tables` hold the text of tables, and `figures` the
drawings (`plots`, `bars` and `curves` on a `canvas`). `terminal`, `markdown` and `html` only
render, so all three show the same figures, and `writing` writes the files. `changes` compares old
and new measurements. `units` formats numbers. This package measures and evaluates nothing.
"""
