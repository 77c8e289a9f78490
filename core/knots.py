"""What hangs together in circles in a directed graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable


def knots(nodes: Iterable[str], down: Callable[[str], Iterable[str]]) -> list[list[str]]:
    """Strongly connected components, each sorted, sinks first; `down(node)` gives the nodes that follow it.

    Without recursion: lineage can be ten thousand nodes deep. Source: Tarjan (1972), "Depth-first search and linear
    graph algorithms".

    >>> knots("abcd", {"a": "b", "b": "c", "c": "b", "d": ""}.__getitem__)
    [['b', 'c'], ['a'], ['d']]
    """
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    held: set[str] = set()
    found: list[list[str]] = []
    for root in nodes:
        if root in order:
            continue
        work = [(root, iter(down(root)))]
        order[root] = low[root] = len(order)
        stack.append(root)
        held.add(root)
        while work:
            node, following = work[-1]
            child = next(following, None)
            if child is None:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == order[node]:
                    at = stack.index(node)
                    found.append(sorted(stack[at:]))
                    held.difference_update(stack[at:])
                    del stack[at:]
            elif child not in order:
                order[child] = low[child] = len(order)
                stack.append(child)
                held.add(child)
                work.append((child, iter(down(child))))
            elif child in held:
                low[node] = min(low[node], order[child])
    return found
