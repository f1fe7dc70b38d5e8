"""Fetch data sets into the cache, and write them as folders of pictures if wanted.

python -m vision.datasets mnist fashion-mnist cifar10 emoji
python -m vision.datasets emoji --folder pictures       pictures/train/class/00001.png, pictures/valid/...
"""

import argparse
import sys
from pathlib import Path

from autograd.errors import DataError
from vision.datasets import CIFAR10, MNIST, Emoji, FashionMNIST, cache_dir, write_folder

KNOWN = {"mnist": MNIST, "fashion-mnist": FashionMNIST, "cifar10": CIFAR10, "emoji": Emoji}


def main(arguments: list[str]) -> int:
    """Fetch, verify and count every data set named; 0 when all are there."""
    parser = argparse.ArgumentParser(
        "python -m vision.datasets", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="+", choices=KNOWN, metavar="NAME", help=", ".join(KNOWN))
    parser.add_argument("--folder", type=Path, help="write the pictures of one data set here, a folder for each class")
    args = parser.parse_args(arguments)
    if args.folder and len(args.names) > 1:
        parser.error("--folder takes one data set")
    for name in args.names:
        try:
            parts = {"train": KNOWN[name](train=True), "valid": KNOWN[name](train=False)}
            if args.folder:
                for part, dataset in parts.items():
                    write_folder(dataset.images, dataset.labels, dataset.classes, args.folder / part)
        except DataError as error:
            print(error, file=sys.stderr)
            return 1
        train, test = map(len, parts.values())
        print(f"{name}: {train:,} training and {test:,} test images in {args.folder or cache_dir()}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
