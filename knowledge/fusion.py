"""From six scores to one, and from one to "does it fit": weights that were learnt, with how they were learnt beside
them.

The weights come from a list-wise softmax (the right runbook against all others, each project weighing the same) on
public alert and runbook pairs, chosen with whole projects held out; `benchmarks/retrieval.py` prints what they
reach there. Relevance is a logistic over score features, because a bare threshold on the best score cannot tell a
near miss from a hit.

Reference: Cao et al., "Learning to Rank: From Pairwise Approach to Listwise Approach", ICML 2007.
"""

import numpy as np

WEIGHTS = {
    "words": np.array([6.0, 12.0, 4.0, 3.0, 4.0, 2.5]),
    "expression": np.array([2.0, 8.0, 2.0, 2.0, 3.0, 4.0]),
}
RELEVANCE = np.array([-6.0, 6.0, 2.0, 2.0])
EXPRESSION_BESIDE = 0.3
"""The expression's weight when there are words as well."""
FITS = 0.35
"""Relevance under which no runbook is cited."""


def fuse(features: np.ndarray, kind: str = "words") -> np.ndarray:
    """One score a row of `features` (n, 6), in `FEATURES`' order."""
    return features @ WEIGHTS[kind]


def relevance(features: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The chance, 0 to 1, that each candidate answers the question, given its features and its lead over the
    runner-up.
    """
    order = np.sort(scores)[::-1]
    ahead = scores - np.where(scores == order[0], order[1] if len(order) > 1 else 0.0, order[0])
    cosine, share = features[:, 0], features[:, 4]
    x = RELEVANCE[0] + RELEVANCE[1] * cosine + RELEVANCE[2] * share + RELEVANCE[3] * np.clip(ahead, -1, 1)
    return 1 / (1 + np.exp(-x))
