"""Drawings of the computation: the tape read into a graph, views of it, and what prints it."""
