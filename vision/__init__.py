"""Images: data sets, transforms of whole batches, and looking inside a network."""

from vision import datasets, see, transforms

__all__ = ["datasets", "see", "transforms"]
