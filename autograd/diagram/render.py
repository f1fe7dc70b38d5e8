"""DOT text as SVG, PNG, PDF or JSON: by the system's Graphviz, or by the one that comes with pygraphviz."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib.util import find_spec

from ..errors import DataError

FORMATS = ("svg", "png", "pdf", "json")
SECONDS = 30.0  # the longest that a picture may take

_SHIFTED = re.compile(rb'\by="([-.\d]+)"([^>]*) baseline-shift="sub"')

# A process of its own, so that it can be ended and so that a crash in it is an error here.
_PYGRAPHVIZ = """
import sys, pygraphviz
drawing = pygraphviz.AGraph(string=sys.stdin.buffer.read().decode())
sys.stdout.buffer.write(drawing.draw(format=sys.argv[1], prog="dot", args=" ".join(sys.argv[2:])))
"""


def render(dot: str, format: str, *, seconds: float = SECONDS) -> bytes:
    """Return the picture of a DOT text: ``format`` is svg, png, pdf or json (positions in points, for tests).

    Raises: ``DataError`` for another format, where no Graphviz is installed, for text that Graphviz refuses, with
    its own words, and for a picture that takes longer than ``seconds``.
    """
    if format not in FORMATS:
        raise DataError(f"render: format is {format!r} → choose one of {', '.join(FORMATS)}")
    words = []
    for command in _commands(format):
        try:
            done = subprocess.run(command, input=dot.encode(), capture_output=True, timeout=seconds)
        except subprocess.TimeoutExpired:
            raise DataError(
                f"render: Graphviz did not finish within {seconds:g} seconds, the text has {len(dot):,} characters"
                " → draw with less depth or fewer time steps, or save as .dot or .html"
            ) from None
        if done.returncode == 0 and done.stdout:
            return _lowered(done.stdout) if format == "svg" else done.stdout
        words.append(done.stderr.decode(errors="replace").strip() or f"it ended with code {done.returncode}")
    raise DataError(f"render: Graphviz could not draw {format}: {words[0]} → save as .dot to see the text")


def _lowered(svg: bytes) -> bytes:
    """The picture with its subscripts in place: some readers lower a ``baseline-shift`` too far, others not at all.

    >>> _lowered(b'<text y="10" baseline-shift="sub" font-size="9.00">xh</text>')
    b'<text y="12.50" font-size="9.00">xh</text>'
    """
    return _SHIFTED.sub(lambda found: b'y="%.2f"%s' % (float(found[1]) + 2.5, found[2]), svg)


def _commands(format: str) -> list[list[str]]:
    """The programs that turn DOT text on their input into a picture on their output, the preferred one first.

    Some releases fail to route some edges: then another one is tried, and at last straight edges.
    """
    found = []
    if shutil.which("dot") and find_spec("graphviz"):
        import graphviz

        found.append([str(word) for word in graphviz.backend.dot_command.command("dot", format)])
    if find_spec("pygraphviz"):
        found.append([sys.executable, "-c", _PYGRAPHVIZ, format])
    if not found:
        raise DataError(
            "render: no Graphviz is installed → `apt install graphviz` (or the like) and `pip install graphviz`, or"
            " `pip install pygraphviz`, which brings its own; .dot and .html files need neither"
        )
    return [*found, [*found[0], "-Gsplines=line"]]
