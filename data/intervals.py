"""How sure a share is: so many of so many, with the interval that holds the true share 95 times in 100."""

import math
from bisect import bisect_left
from typing import Any

NORMAL = 1.959963984540054  # of the normal distribution, 95 % lie within so many standard deviations

# Student's t at 97.5 %, by the inverse of the degrees of freedom; between them a straight line is never too low.
_INVERSE = (0, 1 / 60, 1 / 20, 1 / 10, 1 / 6, 1 / 5, 1 / 4, 1 / 3, 1 / 2, 1)
_STUDENT = (NORMAL, 2.0004, 2.0860, 2.2282, 2.4470, 2.5706, 2.7765, 3.1825, 4.3027, 12.7063)


def find_student(freedom: float) -> float:
    """Return how many standard deviations hold 95 % of Student's t, for 1 degree of freedom at least.

    It is right within 0.5 % of whole degrees, and at most a fifth too much between 1 and 2.
    """
    inverse = 1 / max(1.0, freedom)
    place = max(1, bisect_left(_INVERSE, inverse))
    way = (inverse - _INVERSE[place - 1]) / (_INVERSE[place] - _INVERSE[place - 1])
    return _STUDENT[place - 1] + way * (_STUDENT[place] - _STUDENT[place - 1])


def wilson(successes: float, of: float) -> tuple[float, float] | tuple[None, None]:
    """Return the ends of Wilson's 95 % interval (1927), which stays within 0 and 1 and is right for few cases too.

    Successes may be fractional, where a tie counts half. Nothing is known of a share of nothing.
    """
    if of <= 0:
        return None, None
    share = successes / of
    middle = share + NORMAL * NORMAL / (2 * of)
    reach = NORMAL * math.sqrt(share * (1 - share) / of + NORMAL * NORMAL / (4 * of * of))
    scale = 1 + NORMAL * NORMAL / of
    # The formula gives the bounds below by itself, but for the last bit.
    return max(0.0, min(share, (middle - reach) / scale)), min(1.0, max(share, (middle + reach) / scale))


def count_share(successes: float, of: float, name: str = "agree", effective: float | None = None) -> dict[str, Any]:
    """Return a share for a report, with its counts and its interval; `name` says what the successes are.

    The interval is that of `effective` cases, where the cases hang together.
    """
    weight = 1.0 if effective is None else effective / of
    low, high = wilson(successes * weight, of * weight)
    return {name: successes, "of": of, "share": successes / of if of > 0 else None, "low": low, "high": high}


def count_effective_cases(
    successes: float, of: float, square_successes: float, products: float, square_cases: float
) -> float:
    """Return how many independent cases would say as much of a share as these, which come in clusters.

    The last three are sums over clusters: of successes squared, of successes times cases, of cases squared. The
    variance of the share is that of a ratio over clusters (Cochran 1977); divided by the number of clusters, not by one
    less, it is Wilson's own where each cluster is a case. Where no variance can be seen, because there is one cluster
    or nothing but success or failure, cases of a cluster count as one (Kish 1965).
    """
    share = successes / of
    if share in (0, 1) or square_cases == of * of:
        return of * of / square_cases
    spread = square_successes - 2 * share * products + share * share * square_cases
    possible = share * (1 - share) * of * of
    return possible / spread if spread * of > possible else of
