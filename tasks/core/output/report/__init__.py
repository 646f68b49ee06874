"""The result as a page to look through: one HTML file that needs nothing else, no network and no server.

shown        a row as the page has it
spool        the rows on disk until the page is written, or a fair sample of them
figures      what the rows come to, as they go by
reasons      errors grouped by what went wrong
plots        figures as shapes of an SVG
thumbnails   small images of what was sent, made beside, within a time
writing      the page of its template; what its own script may do and nothing else
making       all of it, for a result
comparing    two results on one page; `pairing` finds what asks the same, `sides` reads them
page/        template, style and script
"""
