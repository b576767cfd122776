"""For all tests: no time limit for an example of Hypothesis, since a busy machine is no mistake."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("patient", deadline=None, print_blob=True)
settings.load_profile("patient")
