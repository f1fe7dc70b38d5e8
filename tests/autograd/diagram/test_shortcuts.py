"""What programs do only to undo it is drawn as what it comes to, which is the same."""

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import autograd
import nn
from autograd.diagram import tape, trace
from autograd.diagram.shortcuts import taken_as_made, unpacked
from nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from .formulas import assert_computed
from .networks import numbers


@given(st.integers(1, 4), st.integers(-2, 1), st.data())
@settings(max_examples=200)
def test_what_is_taken_out_of_joined_values_is_the_same(count: int, axis: int, data: st.DataObject) -> None:
    def joined_and_taken(*xs: Any) -> Any:
        out = autograd.stack(list(xs), axis)
        for _ in range(data.draw(st.integers(1, 3))):
            place = data.draw(st.integers(0, out.ndim - 1))
            size = out.shape[place]
            way = data.draw(st.sampled_from(["slice", "element", "unstack"] if out.ndim > 1 and size else ["slice"]))
            part = data.draw(st.slices(size) if way == "slice" else st.integers(-size, size - 1))
            whole = (slice(None),) * place
            out = autograd.unstack(out, axis=place)[part] if way == "unstack" else out[(*whole, part)]
        return 2 * out

    xs = [numbers(3) + n for n in range(count)]
    graph = tape.read(trace.run(joined_and_taken, *xs), values=True)
    assert_computed(graph)
    assert_computed(taken_as_made(graph))


class Packed(nn.Module):
    """Rows of different lengths, packed."""

    def __init__(self, **options: Any) -> None:
        self.rnn, self.head = nn.RNN(2, 3, bias=False, **options), nn.Linear(3, 2, bias=False)

    def forward(self, x: Any, lengths: list[int]) -> Any:
        out, _ = self.rnn(pack_padded_sequence(x, lengths, self.rnn.batch_first))
        return self.head(pad_packed_sequence(out, self.rnn.batch_first)[0])


@given(st.lists(st.integers(1, 4), min_size=1, max_size=3), st.integers(1, 2), st.booleans())
def test_packing_and_unpacking_come_to_zeros_behind_the_end(lengths: list[int], layers: int, batch_first: bool) -> None:
    lengths, model = sorted(lengths, reverse=True), Packed(num_layers=layers, batch_first=batch_first)
    x = numbers(len(lengths), lengths[0], 2) if batch_first else numbers(lengths[0], len(lengths), 2)
    graph = unpacked(tape.read(trace.run(lambda x: model(x, lengths), x), values=True))
    assert "scatter" not in {box.op for box in graph.boxes.values()}
    assert_computed(graph)


HALF = [True, True, False, False]


@given(st.permutations(HALF), st.permutations(HALF))
def test_what_is_put_elsewhere_is_not_where_it_was(taken: list[bool], put: list[bool]) -> None:
    def moved(x: Any) -> Any:
        return autograd.scatter(x[np.array(taken)], np.array(put), x.shape)

    graph = unpacked(tape.read(trace.run(moved, numbers(4, 2)), values=True))
    assert_computed(graph)
    assert ("where" in {box.op for box in graph.boxes.values()}) == (taken == put)
