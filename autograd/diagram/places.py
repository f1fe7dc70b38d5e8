"""Where a node was made, as the drawing shows it: groups with ids, time steps, symbols and source lines."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import reduce

from ..core.scope import Scope
from .graph import Group

Path = tuple[Scope, ...]  # groups, the outermost first


def shared(a: Path, b: Path) -> Path:
    """Return the path as far as both go together."""
    return a if a == b else a[: next((i for i, (x, y) in enumerate(zip(a, b)) if x is not y), min(len(a), len(b)))]


def is_group(scope: Scope) -> bool:
    """Return whether a scope is drawn as a group: it is no named value and no source line."""
    return bool(scope.name) and scope.kind != "value"


class Names:
    """Names that are given once each."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = dict.fromkeys(taken, 1)  # and how often each was asked for

    def fresh(self, name: str) -> str:
        """Return ``name``, or with a number appended if it is taken.

        >>> names = Names(["tanh"])
        >>> names.fresh("tanh"), names.fresh("tanh"), names.fresh("add")
        ('tanh_2', 'tanh_3', 'add')
        """
        while True:
            count = self._taken[name] = self._taken.get(name, 0) + 1
            if count == 1:
                return name
            if f"{name}_{count}" not in self._taken:
                name = f"{name}_{count}"


class Places:
    """The groups of a drawing, and for every scope the one it lies in.

    What all operations lie in is no group, with the exception of a time step: it is the model itself, whose class
    stands in ``model``.
    """

    def __init__(self, scopes: Iterable[Scope]) -> None:
        self.groups: dict[str, Group] = {}
        self._paths: dict[Scope | None, Path] = {None: ()}
        self._outside: dict[Scope, Path] = {}
        self._places: dict[Scope, tuple[str | None, str | None, int | None]] = {}
        self._ids: dict[Scope, str] = {}
        self.fresh = Names().fresh
        found = list(dict.fromkeys(self._group_scope(s) for s in scopes))
        outside = [self._before_time(self._path(s)) for s in found]
        model = reduce(shared, outside) if outside else ()
        self.model, self._model = next((s.kind for s in reversed(model) if s.kind), ""), len(model)
        for scope in found:
            self._register(self._path(scope)[self._model :])

    def group(self, path: Path) -> str | None:
        """Return the id of the group at a path, None for the top."""
        return self._ids[path[-1]] if path else None

    def of(self, scope: Scope) -> tuple[str | None, str | None, int | None]:
        """Return the innermost group, the group of the outermost loop ("" at the top), and its time step."""
        scope = self._group_scope(scope)
        found = self._places.get(scope)
        if found is None:
            path = self._path(scope)[self._model :]
            before = self._before_time(path)
            inside = len(before) < len(path)
            loop, step = (self.group(before) or "", path[len(before)].step) if inside else (None, None)
            found = self._places[scope] = self.group(path), loop, step
        return found

    def outside_time(self, scope: Scope) -> Path:
        """Return the path as far as the first time step."""
        scope = self._group_scope(scope)
        found = self._outside.get(scope)
        if found is None:
            found = self._outside[scope] = self._before_time(self._path(scope)[self._model :])
        return found

    @staticmethod
    def symbol(scope: Scope) -> str:
        """Return the name that was given to the value made there, the last one."""
        return scope.name if scope.kind == "value" else ""

    @staticmethod
    def line(scope: Scope) -> str:
        """Return the source line, if it is known; of a file in the working directory as seen from there."""
        while scope.line is None and scope.parent is not None and not is_group(scope):
            scope = scope.parent
        return (scope.line or "").removeprefix(os.path.join(os.getcwd(), ""))

    @staticmethod
    def _before_time(path: Path) -> Path:
        return path[: next((i for i, s in enumerate(path) if s.step is not None), len(path))]

    @staticmethod
    def _group_scope(scope: Scope) -> Scope:
        """The innermost scope around that is a group, or the root."""
        while scope.parent is not None and not is_group(scope):
            scope = scope.parent
        return scope

    def _path(self, scope: Scope) -> Path:
        """The groups around and including ``scope``, the outermost first."""
        climbed = []
        at: Scope | None = scope
        while at not in self._paths:
            assert at is not None
            climbed.append(at)
            at = at.parent
        path = self._paths[at]
        for place in reversed(climbed):
            path = self._paths[place] = (*path, place) if is_group(place) else path
        return path

    def _register(self, path: Path) -> None:
        """Make the groups along a path that are not yet there."""
        parent: str | None = None
        for scope in path:
            if scope not in self._ids:
                id = self._ids[scope] = self.fresh(f"{parent}.{scope.label}" if parent else scope.label)
                self.groups[id] = Group(id, scope.name, parent, scope.kind, scope.step, scope.call)
            parent = self._ids[scope]
