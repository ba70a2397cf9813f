"""Is a generated order-book market like the recorded one? Distances of distributions, stylised facts, a classifier.

`score.score` compares markets read by `tape`; what each row is stands in docs/scorecard.md.
"""
