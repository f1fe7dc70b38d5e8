"""What all programs share: an ending without a traceback, options, results and diagrams."""

import json
import sys
from pathlib import Path

import pytest

from autograd.errors import DataError

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
import program


class Diagram:
    """Saves a page; a picture needs what is not installed."""

    def save(self, path):
        if path.suffix == ".svg":
            raise DataError("Graphviz is not installed")
        path.write_text("page")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (DataError("x.tsv is not UTF-8"), "forecast.py: x.tsv is not UTF-8"),
        (FileNotFoundError("no x.tsv"), "forecast.py: no x.tsv"),
        (MemoryError(), "forecast.py: MemoryError"),
        (MemoryError("29 TiB"), "forecast.py: 29 TiB"),
        (KeyboardInterrupt(), "interrupted"),
    ],
)
def test_what_goes_wrong_outside_of_a_program_is_one_line(monkeypatch, error, words):
    def main():
        raise error

    monkeypatch.setattr(sys, "argv", ["/some/where/forecast.py"])
    with pytest.raises(SystemExit) as ended:
        program.run(main)
    assert ended.value.code == words


def test_mistakes_of_its_own_keep_their_traceback():
    with pytest.raises(ZeroDivisionError):
        program.run(lambda: 1 / 0)


def test_options_results_and_diagrams(tmp_path, capsys):
    args = program.options("about", "less", "of weights").parse_args(["--out", str(tmp_path / "a" / "b"), "--quick"])
    assert (args.quick, args.seed, args.device, args.resume) == (True, 1, "cpu", False)
    program.write_result(args.out, {"é": 1.5})
    assert json.loads((args.out / "result.json").read_text(encoding="utf-8")) == {"é": 1.5}
    program.save(Diagram(), args.out, "net")
    assert {path.name for path in args.out.iterdir()} == {"result.json", "net.html"}
    assert capsys.readouterr().out.splitlines() == [
        f"diagram: {args.out / 'net.html'}", "no net.svg: Graphviz is not installed",
    ]  # fmt: skip
