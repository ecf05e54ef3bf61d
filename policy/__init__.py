"""The policy: PPO with a KL penalty to the pretrained model.

Nothing lives here yet; CHANGELOG.md says what this release holds.
May import prefline.data and prefline.reward_model.
"""

__all__: list[str] = []
