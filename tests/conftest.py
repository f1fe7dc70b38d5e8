"""How the tests run: property tests draw the same examples every time, so a failure on one machine is one on all.

`HYPOTHESIS_PROFILE=explore pytest ...` draws new and more examples.
"""

import os

from hypothesis import settings

settings.register_profile("default", deadline=None, derandomize=True, max_examples=50)
settings.register_profile("explore", deadline=None, max_examples=1000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
