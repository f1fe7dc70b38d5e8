"""Data sets and the loader that turns them into batches of tensors."""

from nn.data.dataset import ConcatDataset, Dataset, Subset, TensorDataset, collate, random_split
from nn.data.loader import DataLoader

__all__ = ["ConcatDataset", "DataLoader", "Dataset", "Subset", "TensorDataset", "collate", "random_split"]
