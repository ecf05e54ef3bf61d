"""The reward model: a softmax over the candidates of a comparison.

Nothing lives here yet; CHANGELOG.md says what this release holds. May import prefline.data.
"""

__all__: list[str] = []
