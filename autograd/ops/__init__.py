"""The operations, a file per family."""
