"""The pages that are made from the code are up to date."""

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def test_the_list_of_operations_is_up_to_date() -> None:
    made = runpy.run_path(str(DOCS / "generate.py"))["page"]()
    assert (DOCS / "operations.md").read_text(encoding="utf-8") == made, "run: python docs/generate.py"
