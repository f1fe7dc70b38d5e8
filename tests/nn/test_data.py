"""Data sets and the loader: the same batches with any number of workers, and exact continuation."""

import gc
import threading
import time
from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
from autograd import Tensor
from autograd.errors import DomainError, DTypeError, ShapeError
from nn.data import ConcatDataset, DataLoader, Dataset, Subset, TensorDataset, collate, random_split


def pairs(n=23):
    return TensorDataset(np.arange(n, dtype=np.float32).reshape(n, 1), np.arange(n))


def noisy(inputs, rng):
    return inputs + rng.random(inputs.shape, np.float32)


class Samples(Dataset):
    """One by one, in plain Python."""

    def __init__(self, n=23, fail_at=None, seconds=0.0):
        self.n, self.fail_at, self.seconds = n, fail_at, seconds

    def __getitem__(self, index):
        time.sleep(self.seconds)
        if index == self.fail_at:
            raise FileNotFoundError(f"no sample {index}")
        return np.full(1, index, np.float32), index

    def __len__(self):
        return self.n


def labels(loader):
    return [y.numpy().tolist() for _, y in loader]


def values(loader):
    return [x.numpy().tolist() for x, _ in loader]


# --- data sets ---


def test_subset_concat_and_split_keep_every_sample_once():
    data = ConcatDataset([pairs(5), pairs(7)])
    parts = random_split(data, [0.5, 0.3, 0.2], seed=1)
    assert [len(part) for part in parts] == [7, 3, 2]
    seen = sorted(int(i) for part in parts for i in part.indices)
    assert seen == list(range(12))
    assert data[5][1] == 0 and data[-1][1] == 6 and [y for _, y in (data[i] for i in range(12))][4:6] == [4, 0]
    assert [part.indices.tolist() for part in random_split(data, [7, 5], 3)] == [
        part.indices.tolist() for part in random_split(data, [7, 5], 3)
    ]


def test_subsets_ask_for_whole_batches_where_their_source_does():
    subset = Subset(Subset(pairs(), [9, 8, 7, 6]), [3, 1])
    assert subset.whole_batches and subset[np.array([0, 1])][1].tolist() == [6, 8] and subset[0][1] == 6
    assert not Subset(Samples(), [1]).whole_batches


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: TensorDataset(np.zeros(3), np.zeros(4)), ShapeError),
        (lambda: TensorDataset(np.zeros(())), ShapeError),
        (lambda: TensorDataset(), DomainError),
        (lambda: ConcatDataset([]), DomainError),
        (lambda: ConcatDataset([pairs(2)])[2], IndexError),
        (lambda: random_split(pairs(10), [5, 6]), DomainError),
        (lambda: random_split(pairs(10), [0.5, 0.6]), DomainError),
        (lambda: random_split(pairs(10), [-1, 11]), DomainError),
        (lambda: collate([np.zeros(2), np.zeros(3)]), ShapeError),
        (lambda: collate([(1, 2), (1,)]), ShapeError),
        (lambda: collate(["text"]), DTypeError),
        (lambda: DataLoader(pairs(), 0), DomainError),
        (lambda: DataLoader(pairs(), 4, num_workers=-1), DomainError),
        (lambda: DataLoader(pairs(), 4, num_workers=1, prefetch=0), DomainError),
        (lambda: DataLoader(pairs(), 4, worker="fibre"), DomainError),
    ],
)
def test_bad_arguments(make, error):
    with pytest.raises(error):
        make()


def test_collate_stacks_whatever_is_nested():
    batch = collate([{"x": [1.0, autograd.tensor([1, 2])]}, {"x": [2.0, autograd.tensor([3, 4])]}])
    assert batch["x"][0].dtype == np.float32 and batch["x"][1].tolist() == [[1, 2], [3, 4]]


# --- the loader ---


def test_batches_are_tensors_in_order():
    loader = DataLoader(pairs(5), 2)
    batches = list(loader)
    assert len(loader) == 3 and loader.samples == 5
    assert all(isinstance(x, Tensor) and x.dtype == np.float32 and y.dtype == np.int64 for x, y in batches)
    assert [y.numpy().tolist() for _, y in batches] == [[0, 1], [2, 3], [4]]
    dropping = DataLoader(pairs(5), 2, drop_last=True)
    assert labels(dropping) == [[0, 1], [2, 3]] and dropping.samples == 4


def test_batches_do_not_share_memory_with_the_data_set():
    data = TensorDataset(np.zeros((4, 1), np.float32), np.arange(4))
    for x, _ in DataLoader(data, 2):
        with autograd.no_grad():
            x += 1
    assert data.arrays[0].sum() == 0


def test_every_epoch_has_an_order_of_its_own_and_the_seed_decides():
    loader = DataLoader(pairs(), 4, shuffle=True, seed=7)
    first, second = labels(loader), labels(loader)
    assert first != second and sorted(chain(*first)) == list(range(23))
    assert [labels(again := DataLoader(pairs(), 4, shuffle=True, seed=7)), labels(again)] == [first, second]
    assert labels(DataLoader(pairs(), 4, shuffle=True, seed=8)) != first


def test_without_a_seed_the_default_generator_decides():
    orders = []
    for _ in range(2):
        autograd.manual_seed(3)
        orders.append((labels(DataLoader(pairs(), 4, shuffle=True)), labels(DataLoader(pairs(), 4, shuffle=True))))
    assert orders[0] == orders[1] and orders[0][0] != orders[0][1]
    generator = autograd.Generator(5)
    own = labels(DataLoader(pairs(), 4, shuffle=True, generator=generator))
    assert own == labels(DataLoader(pairs(), 4, shuffle=True, generator=autograd.Generator(5)))


@given(
    workers=st.integers(0, 4), prefetch=st.integers(1, 5), batch_size=st.integers(1, 9), shuffle=st.booleans(),
    whole=st.booleans(), seed=st.integers(0, 2**70),
)  # fmt: skip
def test_the_number_of_workers_changes_nothing(workers, prefetch, batch_size, shuffle, whole, seed):
    data = pairs() if whole else Samples()
    options = {"shuffle": shuffle, "seed": seed, "transform": noisy}
    plain = DataLoader(pairs(), batch_size, **options)
    other = DataLoader(data, batch_size, num_workers=workers, prefetch=prefetch, **options)
    for _ in range(2):
        assert values(plain) == values(other)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_batch_transform_mixes_inputs_and_targets_after_the_transform(workers):
    def mix(batch, rng):
        inputs, targets = batch
        share = rng.random(len(targets))
        return inputs * share, targets * share

    first = DataLoader(pairs(), 4, seed=2, transform=lambda x, rng: x + 1, num_workers=workers, batch_transform=mix)
    plain, again = DataLoader(pairs(), 4), iter(first)
    batches = list(zip(plain, again, strict=True))
    for (x, y), (mixed, target) in batches:
        np.testing.assert_allclose(mixed.numpy() * y.numpy(), target.numpy() * (x.numpy() + 1), rtol=1e-6)
    assert not np.allclose(batches[0][1][1].numpy(), batches[0][0][1].numpy())


def test_processes_make_the_same_batches_and_stay_for_the_next_epoch():
    loader = DataLoader(Samples(), 4, shuffle=True, seed=1, transform=noisy, num_workers=2, worker="process")
    plain = DataLoader(Samples(), 4, shuffle=True, seed=1, transform=noisy)
    assert values(loader) == values(plain)
    pool = loader._processes
    assert values(loader) == values(plain) and loader._processes is pool
    loader.close()


@pytest.mark.parametrize("workers", [0, 2])
@given(stop=st.integers(0, 6), epochs=st.integers(0, 2))
def test_continuing_is_exact(workers, stop, epochs):
    def make():
        return DataLoader(pairs(), 4, shuffle=True, seed=3, transform=noisy, num_workers=workers)

    whole, broken, resumed = make(), make(), make()
    for _ in range(epochs):
        assert values(whole) == values(broken)
    iterator = iter(broken)
    begun = [next(iterator)[0].numpy().tolist() for _ in range(stop)]
    resumed.load_state_dict(broken.state_dict())
    assert begun + values(resumed) == values(whole)
    assert values(resumed) == values(whole)


def test_breaking_out_begins_a_new_epoch_next_time():
    loader, plain = (DataLoader(pairs(), 4, shuffle=True, seed=3) for _ in range(2))
    next(iter(loader))
    labels(plain)
    assert labels(loader) == labels(plain)
    loader.set_epoch(0), plain.set_epoch(0)
    assert labels(loader) == labels(plain)


def test_a_state_of_other_data_is_refused():
    state = DataLoader(pairs(23), 4).state_dict()
    with pytest.raises(DomainError, match="samples was 23 when saved and is 24 now"):
        DataLoader(pairs(24), 4).load_state_dict(state)
    with pytest.raises(DomainError, match="batch_size was 4"):
        DataLoader(pairs(23), 5).load_state_dict(state)


def test_what_cannot_be_pickled_is_said_before_a_process_starts():
    loader = DataLoader(Samples(), 4, transform=lambda inputs, rng: inputs, num_workers=1, worker="process")
    for _ in range(2):
        with pytest.raises(Exception, match="pickle") as error:
            list(loader)
        assert "are pickled → no lambdas" in error.value.__notes__[0]


def test_data_without_a_length_is_refused():
    with pytest.raises(DTypeError, match=r"dataset is a list_iterator, expected len\(\)"):
        DataLoader(iter([1, 2]))


@pytest.mark.parametrize("options", [{}, {"num_workers": 2}, {"num_workers": 1, "worker": "process"}])
def test_a_failure_reaches_the_consumer_with_its_place(options):
    loader = DataLoader(Samples(fail_at=13), 4, **options)
    seen = []
    with pytest.raises(FileNotFoundError, match="no sample 13") as caught:
        for _, y in loader:
            seen += y.numpy().tolist()
    assert seen == list(range(12))
    assert "batch 3 of epoch 0, samples [12, 13, 14, 15]" in caught.value.__notes__[0]
    loader.close()


def running():
    return sum(thread.name.startswith("DataLoader") for thread in threading.enumerate())


def test_breaking_out_ends_the_threads():
    loader = DataLoader(Samples(200, seconds=0.001), 4, num_workers=3, prefetch=5)
    for _ in loader:
        assert running() > 0
        break
    gc.collect()
    assert running() == 0


def test_workers_do_not_run_ahead_of_the_bound():
    asked = []

    class Counting(Samples):
        def __getitem__(self, index):
            asked.append(index)
            return super().__getitem__(index)

    iterator = iter(DataLoader(Counting(100), 1, num_workers=2, prefetch=3))
    next(iterator)
    time.sleep(0.1)
    assert len(asked) == 4
    iterator.close()


def test_a_transform_without_targets_and_a_collate_of_ones_own():
    loader = DataLoader(np.arange(4.0), 2, seed=0, transform=lambda x, rng: -x)
    assert [x.numpy().tolist() for x in loader] == [[0.0, -1.0], [-2.0, -3.0]]
    loader = DataLoader(["a", "bb", "ccc"], 2, collate_fn=lambda words: (np.array([len(w) for w in words]), words))
    assert [(n.numpy().tolist(), words) for n, words in loader] == [([1, 2], ("a", "bb")), ([3], ("ccc",))]


def test_the_loader_places_batches_on_a_device():
    x, y = next(iter(DataLoader(pairs(), 4, device="strict")))
    assert x.device == y.device == "strict"
