"""Time series: the sun's spots year by year, and the prices of five stocks day by day.

>>> years, spots = sunspots()                                                     # doctest: +SKIP
>>> years[0], spots[0], len(spots)                                                # doctest: +SKIP
('1700', 5.0, 309)
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from autograd.errors import DataError
from vision.datasets.fetch import RemoteFile, fetch
from vision.datasets.pip import WINDOWS_WHEEL, PipPackage

Series: TypeAlias = tuple[tuple[str, ...], NDArray[np.float64]]
"""When, and how much: (T,) both."""

SUNSPOTS = RemoteFile("sunspots.csv", 3_254, "sha256:df04b629a69bc68611a4d1d1a8cf7a3a9b10d43a003693c22d7baac56a17bc46")
STATSMODELS = PipPackage(
    "statsmodels==0.14.6",
    "statsmodels/datasets/sunspots/",
    9.5,
    "b5eb07acd115aa6208b4058211138393a7e6c2cf12b6f213ede10f658f6a714f",
    WINDOWS_WHEEL,
)
STOCKS = RemoteFile("stocks.csv.gz", 294_246, "sha256:5abadf99b2d394f920120a27de6f0df129859d71d4cfb0bf661bcc99446ab1fd")
BOKEH = PipPackage(
    "bokeh-sampledata==2026.1",
    "bokeh_sampledata/_data/",
    12.8,
    "f40331a40ca30c64a1c1471835aad9006b61b0d9731a3f649ee8cbbf48d3822f",
)


def sunspots() -> Series:
    """The mean number of sunspots in each year from 1700 to 2008 (National Geophysical Data Center, public domain).

    Raises `DataError` when the file cannot be had.
    """
    path = fetch("sunspots", [SUNSPOTS], [STATSMODELS], "series")[SUNSPOTS.name]
    return read("sunspots.csv", path.read_text(encoding="utf-8").splitlines(), "YEAR", "SUNACTIVITY")["SUNACTIVITY"]


def stocks() -> dict[str, Series]:
    """The daily closing prices, adjusted for splits and dividends, of Apple, Facebook, Google, IBM and Microsoft.

    In dollars, from 2000, or the day a stock is first traded, to the beginning of 2013 (Quandl's WIKI prices).

    Raises `DataError` when the file cannot be had.
    """
    path = fetch("stocks", [STOCKS], [BOKEH], "series")[STOCKS.name]
    lines = gzip.decompress(path.read_bytes()).decode("utf-8").splitlines()
    return read("stocks.csv.gz", lines, "Date", "Adj Close", "Ticker")


def read(name: str, lines: Iterable[str], when: str, value: str, group: str | None = None) -> dict[str, Series]:
    """The series in a table with a head, by the column `group`, or under the name `value`; empty lines are passed over.

    Raises `DataError`, which names the line, where a column or a number is missing or time does not go on.

    >>> read("x.csv", ["day,price", "1,3.5", "", "2,4.5"], "day", "price")
    {'price': (('1', '2'), array([3.5, 4.5]))}
    """
    table = csv.DictReader(lines)
    missing = [column for column in (when, value, group) if column and column not in (table.fieldnames or ())]
    if missing:
        raise DataError(f"{name}: there is no column {missing[0]!r}, expected in {table.fieldnames}")
    found: dict[str, list[tuple[str, float]]] = {}
    for row in table:
        where = f"{name}, line {table.line_num}"
        rows = found.setdefault(row[group] if group else value, [])
        try:
            rows.append((row[when] or "", number := float(row[value])))
        except (TypeError, ValueError):
            raise DataError(f"{where}: {value} is {row[value]!r}, expected a number") from None
        if not np.isfinite(number):
            raise DataError(f"{where}: {value} is {number}, expected a finite number")
        if len(rows) > 1 and rows[-2][0] >= rows[-1][0]:
            raise DataError(f"{where}: {when} is {rows[-1][0]!r} after {rows[-2][0]!r}, expected a later one")
    return {key: _columns(rows) for key, rows in found.items()}


def _columns(rows: Sequence[tuple[str, float]]) -> Series:
    times, values = zip(*rows, strict=True)
    return times, np.array(values)
