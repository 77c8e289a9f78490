"""From six scores to one, and from one to "does it fit".

The weights were learnt list-wise (the right runbook against all others, each project weighing the same) on public
pairs of alerts and runbooks, with whole projects held out, and then shrunk towards equal ones, which did as well
where the data was thin. Relevance is a logistic over the same scores and the lead over the runners-up, because a
bare threshold on the best score cannot tell a near miss from a hit. `benchmarks/retrieval.py` prints what both reach.

Reference: Cao et al., "Learning to Rank: From Pairwise Approach to Listwise Approach", ICML 2007.
"""

import numpy as np

WEIGHTS = {
    "words": np.array([10.0, 6.3, 2.9, 5.9, 3.2, 2.9]),
    "expression": np.array([5.0, 8.0, 2.5, 3.0, 2.5, 1.0]),
}
EXPRESSION_BESIDE = 0.3
"""The expression's weight when there are words as well."""
LEAD = 5
_RELEVANCE = {
    "words": (-5.14, np.array([2.88, 1.92, 1.01, 0.90, 1.42, 1.12]), 0.11),
    "expression": (-3.60, np.array([2.60, 1.72, 0.83, 0.42, 0.65, 0.68]), 0.05),
    "no_model": (-2.03, np.array([0.0, 0.0, 0.0, 1.03, 1.50, 4.40]), 0.34),
}
FITS = 0.35
"""Relevance under which no runbook is cited. On held-out projects it kept 95 % of the alerts that had a runbook and
cited a foreign one for 6 % of those whose project had none."""
FITS_ASKED = 0.055
"""The same for people who ask in their own words and judge the answer themselves. Of 28 such questions about the
shipped runbooks it keeps all, and of 20 about something else none."""


def fuse(features: np.ndarray, kind: str = "words") -> np.ndarray:
    """One score a row of `features` (n, 6), in `FEATURES`' order."""
    return features @ WEIGHTS[kind]


def relevance(features: np.ndarray, scores: np.ndarray, kind: str = "words") -> np.ndarray:
    """The chance, 0 to 1, that each candidate answers: its own scores, and how far it is ahead of the next five."""
    bias, weights, ahead = _RELEVANCE[kind]
    order = np.sort(scores)[::-1]
    others = order[1 : 1 + LEAD].mean() if len(order) > 1 else 0.0
    lead = np.clip(scores - others, -20.0, 20.0)
    return 1 / (1 + np.exp(-(bias + features @ weights + ahead * lead)))
