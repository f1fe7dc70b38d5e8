"""Images: data sets, transforms of whole batches, published networks, and looking inside a network."""

from vision import datasets, transforms

__all__ = ["datasets", "transforms"]
