"""Fetch data sets into the cache: `python -m vision.datasets mnist fashion-mnist cifar10`."""

import sys

from autograd.errors import DataError
from vision.datasets import CIFAR10, MNIST, FashionMNIST, cache_dir

KNOWN = {"mnist": MNIST, "fashion-mnist": FashionMNIST, "cifar10": CIFAR10}


def main(names: list[str]) -> int:
    """Fetch, verify and count every data set named; 0 when all are there."""
    unknown = [name for name in names if name not in KNOWN]
    if unknown or not names:
        print(f"usage: python -m vision.datasets {{{','.join(KNOWN)}}} ...", file=sys.stderr)
        return 2
    for name in names:
        try:
            train, test = KNOWN[name](train=True), KNOWN[name](train=False)
        except DataError as error:
            print(error, file=sys.stderr)
            return 1
        print(f"{name}: {len(train):,} training and {len(test):,} test images in {cache_dir()}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
