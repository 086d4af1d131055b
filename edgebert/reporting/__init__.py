"""Results as people and programs read them: terminal tables, Markdown, JSON, one-file HTML.

`report` says what a report is, `tables` what its tables say, and `terminal`, `markdown` and `html`
(with `plots`) only draw them, so all three show the same figures. `units` writes numbers. Nothing
here measures or decides anything.
"""
