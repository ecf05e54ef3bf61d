"""Where preferences came from.

human      people chose
judge      a language model chose
mock       a program played the people, to try things out
rule       a rule or a metric chose
synthetic  a reference is the best by construction, and the others were made to fail

An artifact inherits the feedback of everything that it was made from, so that a model tuned on
mock labels can never pass for one tuned on people's.
"""

from typing import Literal

Feedback = Literal["human", "judge", "mock", "rule", "synthetic"]
