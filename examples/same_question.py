"""Same questions, but different answers with memory.

"So, do you understand?" The answer depends on what was said before. Two networks hear stories and then a question. One
is recurrent and hears every sentence; the other has more parameters, but only the last sentence, which is the question,
reaches it. Both learn from the same stories, and are asked about stories that neither has heard.

    python examples/same_question.py --out out

Prints how often each is right, the best that any network without memory could do, and a dialogue; draws the recurrent
network answering (which needs Graphviz: `pip install 'unfoldgrad[draw]'`).
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import autograd
import nn
from autograd import Tensor
from autograd.errors import AutogradError

PLACES = ("kitchen", "garden", "office", "library")

# For every question what may be said about it, and the answer from then on.
ANSWERS = {
    "So, do you understand?": {
        "You draw a picture.": "Yes.",
        "You give an example.": "Almost.",
        "You skip three slides.": "No.",
    },
    "How is the weather?": {
        "The sun comes out.": "It is sunny.",
        "It begins to rain.": "It rains.",
        "It begins to snow.": "It snows.",
    },
    "Where is Anna?": {f"Anna goes to the {place}.": f"In the {place}." for place in PLACES},
    "Where is Ben?": {f"Ben goes to the {place}.": f"In the {place}." for place in PLACES},
}
QUESTIONS = tuple(ANSWERS)
FACTS = tuple(fact for answers in ANSWERS.values() for fact in answers)
REPLIES = sorted({reply for answers in ANSWERS.values() for reply in answers.values()})


def words(sentence: str) -> list[str]:
    return sentence.lower().translate(str.maketrans("", "", ".,?")).split()


VOCABULARY = sorted({word for sentence in (*FACTS, *QUESTIONS) for word in words(sentence)})
LONGEST = 8  # facts before the question

Story = tuple[str, ...]  # facts, old and new and beside the point, and the question at the end


def tell(rng: np.random.Generator) -> Story:
    """A random story whose question can be answered."""
    while True:
        question = QUESTIONS[rng.integers(len(QUESTIONS))]
        facts = [FACTS[i] for i in rng.integers(len(FACTS), size=rng.integers(3, LONGEST + 1))]
        if any(fact in ANSWERS[question] for fact in facts):
            return (*facts, question)


def truth(story: Story) -> str:
    """What was last said about it decides."""
    answers = ANSWERS[story[-1]]
    return next(answers[fact] for fact in reversed(story[:-1]) if fact in answers)


@dataclass
class Stories:
    """Stories as arrays: sentences as bags of words x (T, N, words), lengths (N), and the replies' numbers (N)."""

    told: list[Story]

    def __post_init__(self) -> None:
        self.x = np.zeros((LONGEST + 1, len(self.told), len(VOCABULARY)), np.float32)
        for n, story in enumerate(self.told):
            for t, sentence in enumerate(story):
                self.x[t, n, [VOCABULARY.index(word) for word in words(sentence)]] = 1
        self.lengths = np.array([len(story) for story in self.told])
        self.replies = np.array([REPLIES.index(truth(story)) for story in self.told])

    def ceiling(self) -> float:
        """How often the best constant answer to each question is right: no network without memory does better."""
        right = 0
        for question in QUESTIONS:
            asked = [truth(story) for story in self.told if story[-1] == question]
            right += max(map(asked.count, REPLIES))
        return right / len(self.told)


class WithMemory(nn.Module):
    """h_t = tanh(W_hh h_{t−1} + W_xh x_t), y = W_hy h after the last sentence."""

    def __init__(self, hidden: int = 64) -> None:
        self.rnn = nn.RNN(len(VOCABULARY), hidden, bias=False)
        self.head = nn.Linear(hidden, len(REPLIES), bias=False)

    def forward(self, x: Tensor, lengths: np.ndarray | None = None) -> Tensor:
        _, last = self.rnn(x, lengths=lengths)
        return self.head(last[0])


class WithoutMemory(nn.Module):
    """The same without W_hh h_{t−1}: a hidden layer on the last sentence."""

    def __init__(self, hidden: int = 200) -> None:
        self.hidden = nn.Linear(len(VOCABULARY), hidden)
        self.head = nn.Linear(hidden, len(REPLIES), bias=False)

    def forward(self, x: Tensor, lengths: np.ndarray) -> Tensor:
        question = x[lengths - 1, np.arange(len(lengths))]
        return self.head(autograd.tanh(self.hidden(question)))


def train(model: nn.Module, stories: Stories, epochs: int, batch: int = 100) -> None:
    updates = epochs * -(-len(stories.told) // batch)
    optimizer = nn.optim.Adam(model.parameters(), lr=1e-2)
    schedule = nn.schedule.OneCycleLR(optimizer, max_lr=1e-2, total_steps=updates)
    loss = nn.CrossEntropyLoss()
    rng = np.random.default_rng(1)
    for _ in range(epochs):
        for rows in np.array_split(rng.permutation(len(stories.told)), updates // epochs):
            optimizer.zero_grad()
            scores = model(autograd.tensor(stories.x[:, rows]), stories.lengths[rows])
            loss(scores, autograd.tensor(stories.replies[rows])).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()


def answers(model: nn.Module, stories: Stories) -> list[str]:
    with autograd.no_grad():
        scores = model(autograd.tensor(stories.x), stories.lengths)
    return [REPLIES[i] for i in scores.numpy().argmax(axis=1)]


def accuracy(model: nn.Module, stories: Stories) -> float:
    return float(np.mean([a == truth(s) for a, s in zip(answers(model, stories), stories.told, strict=True)]))


def same_question(stories: Stories) -> tuple[Story, Story]:
    """Two short stories with the lecture's question and different answers."""
    asked = sorted((s for s in stories.told if s[-1] == QUESTIONS[0]), key=len)
    return asked[0], next(story for story in asked if truth(story) != truth(asked[0]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the drawing (default: out)")
    parser.add_argument("--format", default="svg", choices=["svg", "png", "pdf", "dot", "html"], help="(default: svg)")
    parser.add_argument("--quick", action="store_true", help="learn from fewer stories, less well")
    parser.add_argument("--seed", type=int, default=1, help="of stories and weights (default: 1)")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    rng = np.random.default_rng(args.seed)
    autograd.manual_seed(args.seed)
    unheard = list({tell(rng): None for _ in range(2000)})
    known = set(unheard)
    heard = [story for story in (tell(rng) for _ in range(5000 if args.quick else 20000)) if story not in known]
    lessons, test = Stories(heard), Stories(unheard)

    models = {"with memory": WithMemory(), "without memory": WithoutMemory()}
    print(f"{len(heard):,} stories to learn from, {len(unheard):,} others to be asked about\n")
    print(f"{'network':32} {'parameters':>10}   right")
    for name, model in models.items():
        train(model, lessons, epochs=(4 if args.quick else 60) if name == "with memory" else 4)
        count = sum(p.size for p in model.parameters())
        print(f"{name:32} {count:10,}   {100 * accuracy(model, test):5.1f} %", flush=True)
    print(f"{'the most without memory':32} {'any':>10}   {100 * test.ceiling():5.1f} %\n")

    dialogue = Stories(list(same_question(test)))
    for n, story in enumerate(dialogue.told):
        print("\n".join(story))
        for name, model in models.items():
            print(f"    {name + ':':16} {answers(model, dialogue)[n]}")
        print()

    story, reply = dialogue.told[0], answers(models["with memory"], dialogue)[0]
    x = autograd.tensor(dialogue.x[: len(story), :1])
    path = args.out / f"same_question.{args.format}"
    nn.draw(models["with memory"], x, values=True, title=f"{story[-1]} {reply}").save(path)
    print(f"the network answering the first: {path}")


if __name__ == "__main__":
    try:
        main()
    except (AutogradError, OSError) as error:
        raise SystemExit(f"same_question.py: {error}") from None
