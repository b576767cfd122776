"""For all tests: Hypothesis has no time limit an example, a busy machine is no mistake; a failure says how to replay."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("patient", deadline=None, print_blob=True)
settings.load_profile("patient")
