"""What is written in boxes, beside edges and in tool tips: text made safe for DOT, shapes, numbers, small pictures."""

from __future__ import annotations

import math
import re
from typing import Any

from .graph import Box, Group, Sample
from .style import FAINT, MISSING, SIGNED, VALUES, ramp
from .words import subscript

LONGEST = 72  # characters of a line in a box; the tool tip has the whole
_SUBSCRIPTED = re.compile(r"(?<![^\W_])([^\W\d_])_(?:([^\W_]+)(?!\w)|\{([^{}]+)\})")  # W_xh, h_{t−1}
# What XML cannot hold is shown by its picture (␊ for a line break) or the sign for what cannot be shown.
_UNPRINTABLE = {code: chr(0x2400 + code) for code in range(32)} | {127: "␡", 0xFFFE: "�", 0xFFFF: "�"}
_UNPRINTABLE |= dict.fromkeys(range(0xD800, 0xE000), "�")
# Graphviz drops ordinary spaces at the ends of a run of text, and reads \N as a node's name however it is escaped, so
# what is seen has a character that looks the same.
SLASH = "\u2216"
_HTML = _UNPRINTABLE | {
    ord(" "): "\u00a0", ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;", ord('"'): "&quot;", ord("\\"): SLASH
}  # fmt: skip
_NAME = _UNPRINTABLE | {ord("\n"): "\\n", ord('"'): '\\"', ord("\\"): "\\\\", ord("&"): "&amp;"}
_TIP = _NAME | {ord("\\"): SLASH}


def escaped(text: str) -> str:
    r"""Return text for an HTML-like label.

    >>> escaped('a"><b>')
    'a&quot;&gt;&lt;b&gt;'
    """
    return text.translate(_HTML)


def quoted(text: str) -> str:
    r"""Return text for a tool tip, between double quotes; a line break stays one.

    >>> quoted('a"b')
    'a\\"b'
    """
    return text.translate(_TIP)


def name(id: str) -> str:
    """Return an identifier as DOT writes it; different ones stay different.

    >>> name("rnn.t2.tanh")
    '"rnn.t2.tanh"'
    """
    return f'"{id.translate(_NAME)}"'


def symbols(text: str) -> str:
    r"""Return text for an HTML-like label with its subscripts set as such.

    >>> symbols("W_xh x_2")
    'W<SUB><FONT POINT-SIZE="9">xh</FONT></SUB>\xa0x₂'
    """
    parts, end = [], 0
    for found in _SUBSCRIPTED.finditer(text):
        letter, below = found[1], found[2] or found[3]
        lowered = subscript(below) if below.isdecimal() and below.isascii() else sub(escaped(below))
        parts += [escaped(text[end : found.start()]), escaped(letter), lowered]
        end = found.end()
    return "".join(parts) + escaped(text[end:])


def sub(text: str) -> str:
    """A subscript: smaller as well, since Graphviz only lowers it."""
    return f'<SUB><FONT POINT-SIZE="9">{text}</FONT></SUB>'


def small(text: str, colour: str = FAINT) -> str:
    """A line in small grey letters."""
    return f'<FONT POINT-SIZE="9" COLOR="{colour}">{escaped(shortened(text))}</FONT>'


def shortened(text: str) -> str:
    """Text that is not too long for a box."""
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def shape(shape: Any) -> str:
    """A shape in words, of several outputs each.

    >>> shape((8, 4)), shape(()), shape(((2, 3), (4,))), shape(None)
    ('8 × 4', 'scalar', '2 × 3, 4', '')
    """
    if shape is None:
        return ""
    if shape and isinstance(shape[0], tuple):
        return ", ".join(globals()["shape"](one) for one in shape)
    return " × ".join(map(str, shape)) or "scalar"


def number(value: float) -> str:
    """A number to three digits.

    >>> number(-0.12345), number(1e-9), number(0.0)
    ('−0.123', '1e−09', '0')
    """
    return f"{value:.3g}".replace("-", "−")


def count(value: int, word: str) -> str:
    """How many of something there are, with a unit where there are many.

    >>> count(450, "weights"), count(1, "weights"), count(1_234_567, "multiply-adds")
    ('450 weights', '1 weight', '1.23 M multiply-adds')
    """
    for size, unit in ((10**12, "T"), (10**9, "G"), (10**6, "M")):
        if value >= size:
            return f"{value / size:.3g} {unit} {word}"
    return f"{value:,} {word.removesuffix('s') if value == 1 else word}"


def learned(box: Box) -> str:
    """How many numbers a box learns.

    >>> learned(Box("c", "module", "conv1", weights=450, biases=6))
    '456 = 450 weights + 6 biases'
    """
    if box.weights and box.biases:
        return f"{box.weights + box.biases:,} = {box.weights:,} weights + {box.biases:,} biases"
    if box.weights or box.biases:
        return f"{box.weights:,} weights" if box.weights else f"{box.biases:,} biases"
    return ""


def statistics(sample: Sample) -> str:
    """What a value holds.

    >>> statistics(Sample(-1.0, 1.0, 0.12, 0.5, 2.0))
    '0.12 ± 0.5 [−1, 1]'
    """
    spread = f"{number(sample.mean)} ± {number(sample.std)} [{number(sample.low)}, {number(sample.high)}]"
    return spread + _bad(sample)


def size(sample: Sample) -> str:
    """How large a gradient is.

    >>> size(Sample(-1.0, 1.0, 0.12, 0.5, 2.0))
    '‖∇‖ 2'
    """
    return f"‖∇‖ {number(sample.norm)}" + _bad(sample)


def _bad(sample: Sample) -> str:
    return f", {sample.bad:,} not finite" if sample.bad else ""


def label(box: Box, with_shape: bool) -> str:
    """The lines of a box: what it is; its kind and parameters; shape, weights, work; values and gradients."""
    times = f"<B>{escaped(f' ×{box.times:,}')}</B>" if box.times > 1 else ""
    lines = [title(box) + times]
    if "<SUB>" in lines[0]:
        lines.append('<FONT POINT-SIZE="2">\u00a0</FONT>')  # room for what hangs below the line
    named = box.formula or box.label.startswith(box.op) or box.op in ("constant", "data")
    kind = box.op if box.kind in ("module", "state") and not named else ""
    if detail := " ".join(part for part in (kind, box.params) if part):
        lines.append(f'<FONT POINT-SIZE="10">{escaped(shortened(detail))}</FONT>')
    facts = (shape(box.shape) if with_shape else "", learned(box) if box.kind != "parameter" else "")
    lines += [small(fact) for fact in facts if fact]
    if box.multiply_adds:
        lines.append(small(count(box.multiply_adds, "multiply-adds")))
    pictures = []
    for sample, words, signed in ((box.value, statistics, False), (box.gradient, size, True)):
        if sample is not None:
            lines.append(small(words(sample)))
            if sample.picture:
                pictures.append(f"<TD>{picture(sample, signed)}</TD>")
    text = "<BR/>".join(lines)
    if not pictures:
        return text
    return (
        f'<TABLE BORDER="0" CELLSPACING="2" CELLPADDING="0"><TR><TD COLSPAN="{len(pictures)}">{text}</TD></TR>'
        f"<TR>{''.join(pictures)}</TR></TABLE>"
    )


def title(box: Box) -> str:
    """A box's first line: its label, or its formula; what the value is called is bold."""
    if not box.formula:
        return f"<B>{symbols(shortened(box.label) or ' ')}</B>"
    result, equals, how = shortened(box.formula).partition(" = ")
    return f"<B>{symbols(result)}</B>{symbols(equals + how)}" if equals else symbols(result)


def picture(sample: Sample, signed: bool) -> str:
    """A value's map as a table of coloured cells: dark is low; a gradient's is white at zero."""
    rows, columns = len(sample.picture), max(map(len, sample.picture))
    side = max(3, min(9, 20 // max(rows, columns) * 3))  # points; a multiple of 3 is a whole number of pixels
    high = max(rows == 1 and 10, side)
    scale = max(abs(sample.low), abs(sample.high)) or 1.0
    cells = []
    for line in sample.picture:
        cells.append("<TR>")
        for place in line:
            if signed:
                place = 0.5 + (sample.low + place * (sample.high - sample.low)) / (2 * scale)
            colour = ramp(SIGNED if signed else VALUES, place) if math.isfinite(place) else MISSING
            cells.append(f'<TD FIXEDSIZE="TRUE" WIDTH="{side}" HEIGHT="{high}" BGCOLOR="{colour}"></TD>')
        cells.append("</TR>")
    size = f'BGCOLOR="#BBBBBB" FIXEDSIZE="TRUE" WIDTH="{side * columns}" HEIGHT="{high * rows}"'
    return f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="0" {size}>{"".join(cells)}</TABLE>'


def group(group: Group) -> str:
    """A cluster's heading: the name, the module's class, how often it is called or how many equal ones there are."""
    parts = [f"<B>{escaped(shortened(group.name))}</B>"] if group.name else []
    kind = "" if group.kind in ("value", group.name) else group.kind
    notes = [kind, f"call {group.call}" if group.call > 1 else ""]
    parts += [f'<FONT COLOR="{FAINT}">{escaped(note)}</FONT>' for note in notes if note]
    if group.times > 1:
        parts.append(f"<B>×{group.times:,}</B>")
    return " ".join(parts).replace("> <", ">\u00a0<") or "\u00a0"


def tooltip(box: Box) -> str:
    """Everything known about a box, a line each."""
    work = count(box.multiply_adds, "multiply-adds") if box.multiply_adds else ""
    known = [box.id, box.formula or box.label, f"{box.op} {box.params}".strip(), box.name]
    known += [" ".join(part for part in (shape(box.shape), box.dtype) if part), learned(box), work]
    for sample, word in ((box.value, "value"), (box.gradient, "gradient")):
        if sample is not None:
            known.append(f"{word} {statistics(sample)}, norm {number(sample.norm)}")
    return "\n".join(dict.fromkeys(line for line in (*known, box.line) if line)) or " "
