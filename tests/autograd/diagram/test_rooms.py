"""The list of rooms in docs/architecture.md has every file of the package."""

import re
from pathlib import Path

from autograd import diagram


def test_every_room_is_in_the_list_of_rooms() -> None:
    package = Path(str(diagram.__file__)).parent
    text = (package.parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = text.partition("## Diagrams")[2].partition("The pipeline of")[0]
    assert sorted(re.findall(r"(\w+\.py) ", section)) == sorted(p.name for p in package.glob("[a-z]*.py"))
