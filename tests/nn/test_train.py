"""The trainer: learning, bit-for-bit continuation, interruption, early stopping, and what it says."""

import gc
import io
import json
import os
import signal

import numpy as np
import pytest
from rich.console import Console

import autograd
from autograd.errors import AnomalyError, DataError, DomainError
from nn import BatchNorm1d, Dropout, Linear, Module, ReLU, Sequential
from nn.data import DataLoader, TensorDataset
from nn.loss import CrossEntropyLoss, MSELoss
from nn.metrics import History, accuracy, top_k
from nn.optim import SGD, Adam
from nn.progress import Progress
from nn.schedule import CosineAnnealingLR, OneCycleLR, ReduceLROnPlateau
from nn.serialize import load, save
from nn.train import Trainer

N, CLASSES = 70, 3


def data(seed=0, n=N):
    """Three clouds of points, hardly overlapping."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, n)
    return TensorDataset((np.eye(CLASSES, 4)[labels] * 4 + rng.normal(size=(n, 4))).astype(np.float32), labels)


def jitter(inputs, rng):
    return inputs + 0.1 * rng.standard_normal(inputs.shape, np.float32)


def loaders(workers=0):
    train = DataLoader(data(), 16, shuffle=True, seed=5, transform=jitter, num_workers=workers)
    return train, DataLoader(data(1), 32)


SCHEDULES = {
    "none": lambda optimizer: None,
    "cosine": lambda optimizer: CosineAnnealingLR(optimizer, 10),
    "one-cycle": lambda optimizer: OneCycleLR(optimizer, 0.1, total_steps=20),
    "plateau": lambda optimizer: ReduceLROnPlateau(optimizer, patience=0),
}


def trainer(out, schedule="none", **options):
    """A model with everything that has state: momentum, running statistics, two streams of random numbers."""
    autograd.manual_seed(1)
    model = Sequential(
        Linear(4, 16), BatchNorm1d(16), ReLU(), Dropout(0.3), Linear(16, 16), ReLU(),
        Dropout(0.2, generator=autograd.Generator(9)), Linear(16, CLASSES),
    )  # fmt: skip
    optimizer = Adam(model.parameters(), lr=0.01)
    options = {"progress": False, "clip_norm": 1.0, **options}
    return Trainer(model, CrossEntropyLoss(), optimizer, SCHEDULES[schedule](optimizer), out=out, **options)


def state_of(run):
    """Everything that must agree, as bytes and plain values."""
    history = {name: values for name, values in run.history.items() if name != "seconds"}
    weights = {name: tensor.numpy().tobytes() for name, tensor in run.model.state_dict().items()}
    optimizer = run.optimizer.state_dict()
    moments = [
        (k, v.numpy().tobytes() if hasattr(v, "numpy") else v)
        for s in optimizer["state"].values()
        for k, v in s.items()
    ]
    generators = [generator.get_state() for generator in run._generators()]
    return history, weights, moments, optimizer["param_groups"], generators, (run.epoch, run.step, run.best, run.stale)


def test_training_learns_and_records(tmp_path):
    run = trainer(tmp_path)
    history = run.fit(*loaders(), epochs=8)
    assert history["epoch"] == list(range(1, 9)) and history["valid_accuracy"][-1] > 0.9
    assert history["loss"][-1] < history["loss"][0]
    assert set(history) == {"epoch", "loss", "accuracy", "valid_loss", "valid_accuracy", "lr", "seconds"}
    result = run.evaluate(loaders()[1])
    assert result == {"loss": history["valid_loss"][-1], "accuracy": history["valid_accuracy"][-1]}
    outputs = run.predict(loaders()[1])
    assert outputs.shape == (N, CLASSES)
    assert (outputs.numpy().argmax(1) == data(1).arrays[1]).mean() == pytest.approx(result["accuracy"])


def test_averages_weigh_batches_by_their_size(tmp_path):
    run = trainer(None, metrics=[accuracy, top_k(2)])
    parts = [run.evaluate(DataLoader(data(1), size)) for size in (7, 32, 70)]
    for part in parts[1:]:
        assert part == pytest.approx(parts[0], rel=1e-5)
    assert parts[0]["top2"] >= parts[0]["accuracy"]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_resuming_after_an_epoch_is_bit_for_bit(tmp_path, schedule):
    whole = trainer(tmp_path / "a", schedule)
    whole.fit(*loaders(), epochs=4)
    first = trainer(tmp_path / "b", schedule)
    first.fit(*loaders(), epochs=2)
    autograd.manual_seed(99)
    second = trainer(tmp_path / "b", schedule)
    second.resume()
    second.fit(*loaders(), epochs=4)
    assert state_of(second) == state_of(whole)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("every", [1, 2, 3, 4, 5, 7, 9])
def test_resuming_within_an_epoch_is_bit_for_bit(tmp_path, every, workers):
    schedule = "one-cycle"
    whole = trainer(tmp_path / "a", schedule)
    whole.fit(*loaders(), epochs=3)

    class CrashError(Exception):
        pass

    broken = trainer(tmp_path / "b", schedule, checkpoint_every=every)
    mark, saved = broken._save, []

    def save_and_stop(name):
        mark(name)
        saved.append(name)
        if broken.step >= every:
            raise CrashError  # a crash right after the checkpoint

    broken._save = save_and_stop
    with pytest.raises(CrashError):
        broken.fit(*loaders(workers), epochs=3)
    resumed = trainer(tmp_path / "b", schedule)
    resumed.resume(tmp_path / "b" / "last.safetensors")
    assert resumed.step == every or (every > 5 and resumed.step == 5)
    resumed.fit(*loaders(workers), epochs=3)
    assert state_of(resumed) == state_of(whole)


@pytest.mark.parametrize("step", [1, 5, 6])
def test_ctrl_c_finishes_the_step_saves_and_says_where(tmp_path, step, capsys):
    whole = trainer(tmp_path / "a", "cosine")
    whole.fit(*loaders(), epochs=3)
    run = trainer(tmp_path / "b", "cosine", progress=True)
    inner = run.optimizer.step

    def step_and_interrupt():
        inner()
        if run.step == step:
            os.kill(os.getpid(), signal.SIGINT)

    run.optimizer.step = step_and_interrupt
    run.fit(*loaders(), epochs=3)
    path = str(tmp_path / "b" / "last.safetensors")
    assert run.stopped == "interrupt" and run.step == step + 1
    assert path in capsys.readouterr().out.replace("\n", "")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    resumed = trainer(tmp_path / "b", "cosine")
    resumed.resume(path)
    resumed.fit(*loaders(), epochs=3)
    assert state_of(resumed) == state_of(whole)
    del run.optimizer.step
    run.fit(*loaders(), epochs=3)  # or simply go on
    assert state_of(run) == state_of(whole)


@pytest.mark.parametrize("where", ["data", "validation", "loss"])
def test_an_interrupt_from_anywhere_stops_cleanly(tmp_path, where):
    class Interrupting:
        def __init__(self, loader, at):
            self.loader, self.at = loader, at

        def __iter__(self):
            for i, batch in enumerate(self.loader):
                if i == self.at:
                    raise KeyboardInterrupt
                yield batch

    train, valid = loaders()
    run = trainer(tmp_path)
    if where == "loss":
        inner, calls = run.loss, []

        def loss(output, target):
            calls.append(1)
            if len(calls) == 3:
                raise KeyboardInterrupt
            return inner(output, target)

        run.loss = loss
    run.fit(
        Interrupting(train, 2 if where == "data" else 99),
        Interrupting(valid, 1 if where == "validation" else 99),
        epochs=2,
    )
    assert run.stopped == "interrupt"
    saved = load(tmp_path / "last.safetensors")
    assert (saved["epoch"], saved["step"]) == (0, 5 if where == "validation" else 2)


def test_an_interrupt_within_an_update_keeps_the_last_good_checkpoint(tmp_path):
    run = trainer(tmp_path)
    run.fit(*loaders(), epochs=1)
    before = (tmp_path / "last.safetensors").read_bytes()

    def interrupted():
        raise KeyboardInterrupt

    run.optimizer.step = interrupted
    run.fit(*loaders(), epochs=2)
    assert run.stopped == "interrupt" and (tmp_path / "last.safetensors").read_bytes() == before


def test_early_stopping_keeps_the_best(tmp_path):
    run = trainer(tmp_path, patience=2, monitor="valid_accuracy")
    values = iter([0.5, 0.7, 0.6, 0.65, 0.99])
    run._evaluate = lambda loader, check: {"loss": 1.0, "accuracy": next(values)}
    run.fit(*loaders(), epochs=10)
    assert run.stopped == "patience" and run.epoch == 4 and run.best == 0.7
    assert load(tmp_path / "best.safetensors")["epoch"] == 2 and load(tmp_path / "last.safetensors")["epoch"] == 4
    run.fit(*loaders(), epochs=10)
    assert run.epoch == 4
    run.restore_best()
    best = load(tmp_path / "best.safetensors")["model"]
    assert all((tensor.numpy() == best[name].numpy()).all() for name, tensor in run.model.state_dict().items())


def test_a_loss_that_is_not_finite_stops_with_its_step(tmp_path):
    run = trainer(tmp_path)
    inner = run.loss
    run.loss = lambda output, target: inner(output, target) * (np.nan if run.step == 7 else 1.0)
    with pytest.raises(AnomalyError, match=r"nan in step 8 \(epoch 2, batch 3\).*last\.safetensors → lower lr"):
        run.fit(*loaders(), epochs=3)
    assert load(tmp_path / "last.safetensors")["step"] == 5


def test_a_full_disk_stops_training_with_the_old_checkpoint_intact(tmp_path, monkeypatch):
    run = trainer(tmp_path)
    run.fit(*loaders(), epochs=1)

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="the previous file is intact"):
        run.fit(*loaders(), epochs=2)
    monkeypatch.undo()
    assert load(tmp_path / "last.safetensors")["epoch"] == 1 and sorted(os.listdir(tmp_path)) == [
        "best.safetensors",
        "last.safetensors",
    ]


def test_files_that_are_no_checkpoints(tmp_path):
    save({"w": np.zeros(3)}, tmp_path / "weights")
    with pytest.raises(DataError, match=r"weights holds keys \['w'\]"):
        trainer(tmp_path).resume(tmp_path / "weights")
    trainer(tmp_path).fit(*loaders(), epochs=1)
    model = Linear(4, CLASSES)
    with pytest.raises(DataError, match="missing"):
        Trainer(model, CrossEntropyLoss(), SGD(model.parameters()), out=tmp_path).resume()
    with pytest.raises(DomainError, match="out is None"):
        trainer(None).resume()


@pytest.mark.parametrize("other", ["optimizer", "schedule"])
def test_a_checkpoint_that_fits_in_part_changes_nothing(tmp_path, other):
    trainer(tmp_path, "cosine").fit(*loaders(), epochs=1)
    run = trainer(tmp_path, "none" if other == "schedule" else "cosine")
    if other == "optimizer":
        run = Trainer(run.model, run.loss, SGD(run.model.parameters()), run.schedule, out=tmp_path)
    before = {name: tensor.numpy().tobytes() for name, tensor in run.model.state_dict().items()}
    with pytest.raises(DomainError, match=other.replace("optimizer", "optimiser")):
        run.resume()
    assert before == {k: t.numpy().tobytes() for k, t in run.model.state_dict().items()}
    assert run.epoch == 0 and not run.history


def test_any_iterable_of_pairs_is_a_loader(tmp_path):
    batches = list(loaders()[0])
    whole = trainer(tmp_path / "a")
    whole.fit(batches, epochs=2)
    broken = trainer(tmp_path / "b")
    inner, broken.loss = broken.loss, lambda output, target: (_ for _ in ()).throw(KeyboardInterrupt)
    calls = []

    def loss(output, target):
        calls.append(1)
        if len(calls) == 4:
            os.kill(os.getpid(), signal.SIGINT)
        return inner(output, target)

    broken.loss = loss
    broken.fit(batches, epochs=2)
    assert broken.batch == 4
    resumed = trainer(tmp_path / "b")
    resumed.resume()
    resumed.fit(batches, epochs=2)
    assert state_of(resumed) == state_of(whole)


def test_several_inputs_and_a_loss_of_ones_own():
    class Sum(Module):
        def __init__(self):
            self.linear = Linear(2, 1)

        def forward(self, a, b):
            return self.linear(a) + b

    model = Sum()
    batches = [((autograd.ones((4, 2)), autograd.ones((4, 1))), autograd.zeros((4, 1)))] * 5
    run = Trainer(model, MSELoss(), SGD(model.parameters(), lr=0.1), out=None, progress=False)
    history = run.fit(batches, epochs=3)
    assert history["loss"][-1] < history["loss"][0] and set(history) == {"epoch", "loss", "lr", "seconds"}
    assert run.predict(batches).shape == (20, 1)


@pytest.mark.parametrize(
    "fit",
    [
        lambda: trainer(None).fit([], epochs=1),
        lambda: trainer(None).evaluate([]),
        lambda: trainer(None).predict([]),
        lambda: trainer(None, monitor="valid_top5").fit(*loaders(), epochs=1),
        lambda: trainer(None, patience=0),
        lambda: trainer(None, checkpoint_every=0),
        lambda: trainer(None, schedule_per="batch"),
        lambda: trainer(None).fit([np.ones((2, 4), np.float32)]),
        lambda: trainer(None).fit([(autograd.ones((2, 4)),) * 3]),
        lambda: Trainer(Linear(2, 2), MSELoss(), SGD(Linear(2, 2).parameters()), out=None),
    ],
)
def test_what_is_refused(fit):
    with pytest.raises(DomainError, match=r"→|expected"):
        fit()


def test_the_garbage_collector_is_put_back(tmp_path):
    before, frozen = gc.get_threshold(), gc.get_freeze_count()
    seen = []
    run = trainer(None, metrics={"threshold": lambda output, target: seen.append(gc.get_threshold()) or 0.0})
    run.fit(*loaders(), epochs=1)
    assert seen[0] != before == gc.get_threshold() and gc.get_freeze_count() == frozen


def test_evaluating_leaves_the_modes_and_the_model_as_they_were():
    run = trainer(None)
    before = {name: tensor.numpy().tobytes() for name, tensor in run.model.state_dict().items()}
    assert run.model.training
    run.evaluate(loaders()[1])
    assert run.model.training and before == {k: t.numpy().tobytes() for k, t in run.model.state_dict().items()}
    run.model[1].eval()
    run.predict(loaders()[1])
    assert [layer.training for layer in run.model[:3]] == [True, False, True]


def test_training_on_another_device(tmp_path, device):
    run = trainer(tmp_path)
    run.model.to(device)
    run.fit(*loaders(), epochs=1)
    assert run.predict(loaders()[1]).device == "cpu"


def test_history_is_plain_lists_and_exports(tmp_path):
    history = History()
    history.append({"epoch": 1, "loss": 0.5})
    history.append({"epoch": 2, "loss": 0.25, "valid_loss": 1.0})
    history.to_json(tmp_path / "history.json")
    history.to_csv(tmp_path / "history.csv")
    assert json.loads((tmp_path / "history.json").read_text())["loss"] == [0.5, 0.25]
    assert (tmp_path / "history.csv").read_text() == "epoch,loss,valid_loss\n1,0.5,nan\n2,0.25,1.0\n"


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_says_loss_accuracy_rate_and_time_left(terminal):
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, width=160, highlight=False)
    with Progress(console=console, line_every=0.0) as progress:
        for epoch in (1, 2):
            progress.epoch(epoch, 2, 3)
            for _ in range(3):
                progress._drawn = 0.0
                progress.batch(64, {"loss": 0.25, "accuracy": 0.5})
            progress.row({"loss": 0.25, "accuracy": 0.5, "lr": 1e-4})
    said = text.getvalue()
    assert "epoch 1/2" in said and "loss 0.2500  accuracy 0.5000" in said and "images/s" in said and "left" in said
    assert "lr 0.0001" in said and ("\x1b" in said) == terminal
