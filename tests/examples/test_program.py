"""What all programs share: an ending without a traceback, options, training, results and diagrams."""

import json
import sys
from argparse import Namespace
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


@pytest.mark.parametrize("quick", [None, "less"])
def test_a_program_takes_quick_only_where_it_says_what_that_means(quick, capsys):
    parser = program.options("about", quick, "of weights")
    parser.add_argument("--epochs", type=program.count)
    assert ("quick" in parser.parse_args(["--epochs", "3"])) == (quick is not None)
    for text in ("0", "-1", "1.5", "many"):
        with pytest.raises(SystemExit):
            parser.parse_args(["--epochs", text])
        assert f"invalid count value: '{text}'" in capsys.readouterr().err


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("stopped", [None, "patience", "interrupt"])
def test_only_who_interrupts_is_told_how_it_continues(resume, stopped):
    done = []
    trainer = Namespace(
        resume=lambda: done.append("resume"),
        fit=lambda *loaders, epochs: done.append((*loaders, epochs)),
        stopped=stopped,
    )
    if stopped == "interrupt":
        with pytest.raises(SystemExit, match="--resume continues"):
            program.fit(trainer, resume, "train", "valid", epochs=3)
    else:
        program.fit(trainer, resume, "train", "valid", epochs=3)
    assert done == ["resume"] * resume + [("train", "valid", 3)]
