"""All that a page is given, as values. `page/` draws it; nothing else is known to both. JSON is what `asdict` makes.

`page` has that of one output, `comparison` that of two; `figures`, `rows` and `runs` are their parts. What is None was
not recorded, or does not apply, and the page says so. Texts come from the corpus, and may hold anything. Times are ISO
8601, UTC; durations are seconds.
"""
