"""Hypothesis without a deadline for an example: a busy machine is no failure."""

from hypothesis import settings

settings.register_profile("melmill", deadline=None)
settings.load_profile("melmill")
