"""What papers state about the networks, held against the networks."""

import runpy
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[3] / "docs"
GENERATOR = runpy.run_path(str(DOCS / "generate_models.py"))


@pytest.fixture(scope="module")
def measured(undrawn):
    return GENERATOR["measured"]()


@pytest.mark.parametrize("call", GENERATOR["NETWORKS"])
def test_every_figure_is_met_or_its_difference_explained(call, measured):
    _, table = measured[call]
    assert table.published
    for figure in table.published:
        assert figure.agrees != bool(figure.why), figure


def test_the_lectures_figures_line_by_line(measured):
    stated = {call: {(f.path, f.quantity): f for f in table.published} for call, (_, table) in measured.items()}
    alexnet = [f.found for f in stated['alexnet("lecture")'].values()]
    assert alexnet == [
        "55×55×96", "27×27×96", "27×27×96", "27×27×256", "13×13×256", "13×13×256", "13×13×384", "13×13×384",
        "13×13×256", "6×6×256", "4096", "4096", "1000",
    ]  # fmt: skip
    lenet = [stated['lenet5("paper")'][name, "parameters"].found for name in ("C1", "S2", "C3", "S4", "F6", "")]
    assert lenet == ["156", "12", "1,516", "32", "10,164", "60,000"]
    millions = [round(measured[f'vgg("{name}")'][1].parameters / 1e6) for name in ("A", "A-LRN", "B", "C", "D", "E")]
    assert millions == [133, 133, 133, 134, 138, 144]
    resnet = measured['resnet152("paper")'][1]
    assert (f"{resnet.parameters / 1e6:.1f}", f"{resnet.multiply_adds / 1e9:.1f}", resnet.depth) == (
        "60.2",
        "11.3",
        152,
    )
    wide = measured['zfnet("b")'][1]
    convolutions = [row.output_shape[1] for row in wide.rows if row.path in ("conv3", "conv4", "conv5")]
    assert convolutions == [512, 1024, 512]


def test_the_page_is_up_to_date(measured):
    made = GENERATOR["page"](measured)
    assert (DOCS / "models.md").read_text(encoding="utf-8") == made, "run: python docs/generate_models.py"
