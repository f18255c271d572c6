"""Which of many recipes are worth a look: those that no other one beats."""

from __future__ import annotations

from collections.abc import Sequence


def front(accuracy: Sequence[float], costs: Sequence[Sequence[float]]) -> tuple[int, ...]:
    """The points that are not dominated, by cost of the first kind.

    A point is dominated where another is at least as good in everything and better in something;
    of equal points the first stays.

    Args:
        accuracy: of every point; more is better.
        costs: of every point, as many numbers each; less is better.

    Returns:
        Indices.
    """
    best = [
        index
        for index in range(len(accuracy))
        if not any(_beats(accuracy, costs, other, index) for other in range(len(accuracy)))
    ]
    return tuple(sorted(best, key=lambda index: (tuple(costs[index]), index)))


def _beats(
    accuracy: Sequence[float], costs: Sequence[Sequence[float]], one: int, other: int
) -> bool:
    mine = (-accuracy[one], *costs[one])
    others = (-accuracy[other], *costs[other])
    if mine == others:
        return one < other
    return all(a <= b for a, b in zip(mine, others, strict=True))
