"""Writes docs/operations.md, the list of all operations, from their declarations: `python docs/generate.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import autograd
from autograd import composites, registry

PAGE = Path(__file__).parent / "operations.md"
HEAD = """# Operations

Every declared operation: what it computes, the shapes in letters, where its derivative jumps, where it comes from.
`*` marks composites, which are written in other operations. Made by `python docs/generate.py`.
"""


def cell(text: object) -> str:
    return " ".join(str(text).split()).replace("|", "\\|")


def families() -> dict[str, list[tuple[str, Any]]]:
    """The declared operations among autograd's public names, by the module that declares them."""
    found: dict[str, list[tuple[str, Any]]] = {}
    for name in dir(autograd):
        function = getattr(autograd, name)
        op = getattr(function, "op", None)
        if op is not None and op.name in {**registry, **composites}:
            found.setdefault(function.__module__.rpartition(".")[2], []).append((name, function))
    return found


def page() -> str:
    lines = [HEAD]
    for family, functions in sorted(families().items()):
        lines += [
            f"## {family}",
            "",
            "| operation | what it computes | shapes | kinks | source |",
            "|---|---|---|---|---|",
        ]
        for name, function in functions:
            op = function.op
            first = cell((getattr(op, "doc", "") or op.definition.__doc__).strip().split("\n\n")[0])
            kinks = "; ".join(f"{x}: {k}" for x, k in getattr(op, "kinks", {}).items())
            star = " *" if op.name in composites else ""
            lines.append(
                f"| `{name}`{star} | {first} | `{cell(op.contract.text)}` | {cell(kinks)} | {cell(op.source)} |"
            )
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"{PAGE}: {sum(map(len, families().values()))} operations")
