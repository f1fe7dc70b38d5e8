"""The texts, series and pictures that the programs beside this package learn from."""
