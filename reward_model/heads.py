"""Several heads on one body: a cheap ensemble, of which each member differs in its last layer alone.

Each head is drawn apart and learns from all comparisons, but each comparison counts otherwise for each head: by a
number drawn once, exponential with the mean 1. That is the Bayesian bootstrap (Rubin 1981), here in the place of the
plain one that Osband et al. 2016 have on a shared body. The loss is the mean over the heads.

Departure: a step is divided by the weights of its comparisons and not by what these come to for a head, so that a
comparison counts as much whatever it is put together with: alone in a step, it would count for all heads alike.

Heads that share a body err alike more often than models do, so where they disagree says less than where models do.
"""

from prefline.data.chance import Chance, generator


def draw_shares(chance: Chance, number: int, heads: int) -> tuple[float, ...]:
    """Return by how much a comparison counts for each head, times its weight; a single head learns as it always does.

    It follows from the number of the comparison, so that it is the same whenever it is drawn.
    """
    if heads == 1:
        return (1.0,)
    draw = generator(chance, "shares", number)
    return tuple(draw.expovariate(1.0) for _ in range(heads))
