"""Mutants of a gradient rule's text: the rule is parsed, one place of it is changed, and it is compiled again.

Helpers that a rule calls, functions of its own module whose names begin with ``_``, are changed as well.
"""

from __future__ import annotations

import ast
import copy
import functools
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType
from typing import Any

Change = tuple[str, ast.expr]  # what kind of mistake, and the expression that stands there instead
FLIPPED: dict[type, type[ast.cmpop]] = {
    ast.Gt: ast.Lt, ast.Lt: ast.Gt, ast.GtE: ast.LtE, ast.LtE: ast.GtE, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
}  # fmt: skip


def changes(node: ast.AST) -> Iterator[Change]:
    """What a mistaken author might have written in place of ``node``."""
    match node:
        case ast.BinOp(left, ast.Add(), right):
            yield from (("dropped term", left), ("dropped term", right))
            yield "sign of a term", ast.BinOp(left, ast.Sub(), right)
        case ast.BinOp(left, ast.Sub(), right):
            yield from (("dropped term", left), ("dropped term", ast.UnaryOp(ast.USub(), right)))
            yield "sign of a term", ast.BinOp(left, ast.Add(), right)
        case ast.BinOp(left, ast.Mult() | ast.BitAnd(), right):
            yield from (("dropped factor", left), ("dropped factor", right))
        case ast.BinOp(left, ast.Div(), _):
            yield "dropped factor", left
        case ast.BinOp(left, ast.MatMult() | ast.FloorDiv() | ast.Mod() as operator, right):
            yield from (("dropped factor", left), ("dropped factor", right))
            yield "swapped arguments", ast.BinOp(right, operator, left)
        case ast.UnaryOp(ast.USub(), operand):
            yield "sign", operand
        case ast.Call(function, arguments):
            plain = not any(isinstance(a, ast.Starred) for a in arguments[:2])
            if len(arguments) > 1 and plain and not isinstance(function, ast.Attribute):
                swapped = [arguments[1], arguments[0], *arguments[2:]]
                yield "swapped arguments", ast.Call(function, swapped, node.keywords)
            if isinstance(function, ast.Attribute):
                yield "dropped call", function.value
            elif len(arguments) == 1 and plain:
                yield "dropped call", arguments[0]
        case ast.Constant(bool()):
            yield "opposite", ast.Constant(not node.value)
        case ast.Constant(int() | float()):
            yield "off by one", ast.Constant(node.value + 1)
        case ast.Compare(left, [operator], rest) if type(operator) in FLIPPED:
            yield "opposite", ast.Compare(left, [FLIPPED[type(operator)]()], rest)
        case ast.IfExp(_, body, otherwise):
            yield from (("dropped branch", body), ("dropped branch", otherwise))


def mutants(rule: Callable[..., Any]) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Every changed rule, with words that say what was changed: of its own text, then of its helpers'."""
    for said, changed in _of_text(rule, {}):
        yield said, changed
    for name, helper in _helpers(rule):
        for said, changed in _of_text(helper, {}):
            if name in rule.__code__.co_names:
                yield f"{said} in {name}", compiled(parsed(rule), rule, {name: changed})
            else:  # one helper further down
                for between, caller in _helpers(rule):
                    if name in caller.__code__.co_names and between in rule.__code__.co_names:
                        inner = compiled(parsed(caller), caller, {name: changed})
                        yield f"{said} in {name}", compiled(parsed(rule), rule, {between: inner})


def _of_text(function: Callable[..., Any], names: dict[str, Any]) -> Iterator[tuple[str, Callable[..., Any]]]:
    tree = parsed(function)
    body = tree.body if isinstance(tree, ast.Lambda) else ast.Module(tree.body, [])
    for i, node in enumerate(ast.walk(body)):
        for kind, replacement in changes(node):
            fresh = copy.deepcopy(tree)
            inner = fresh.body if isinstance(fresh, ast.Lambda) else ast.Module(fresh.body, [])
            target = next(n for k, n in enumerate(ast.walk(inner)) if k == i)
            around = _around(inner, target)
            before = ast.unparse(around)
            replace = _Replace(target, copy.deepcopy(replacement))
            changed = ast.fix_missing_locations(replace.visit(fresh))
            after = ast.unparse(replacement if around is target else around)
            yield f"{kind}: `{before}` → `{after}`", compiled(changed, function, names)


def _around(tree: ast.AST, target: ast.AST) -> ast.AST:
    """The smallest call, statement or whole around a node, so that one can see where it stands."""
    inside = [n for n in ast.walk(tree) if any(n is not target and child is target for child in ast.walk(n))]
    calls = [n for n in inside if isinstance(n, (ast.Call, ast.stmt, ast.ListComp))]
    return calls[-1] if calls else inside[0] if inside else target


class _Replace(ast.NodeTransformer):
    """Puts another node in place of one."""

    def __init__(self, target: ast.AST, replacement: ast.AST) -> None:
        self.target, self.replacement = target, replacement

    def visit(self, node: ast.AST) -> Any:
        return self.replacement if node is self.target else self.generic_visit(node)


def _helpers(rule: Callable[..., Any]) -> list[tuple[str, Callable[..., Any]]]:
    """The functions of the rule's module whose names begin with an underscore, and which it calls, at two removes."""
    found: dict[str, Callable[..., Any]] = {}
    queue = [(rule, 0)]
    while queue:
        caller, depth = queue.pop(0)
        for name in caller.__code__.co_names:
            helper = caller.__globals__.get(name)
            ours = name.startswith("_") and inspect.isfunction(helper) and not hasattr(helper, "op")
            if ours and depth < 2 and name not in found:
                found[name] = helper
                queue.append((helper, depth + 1))
    return list(found.items())


@functools.cache
def _tree(path: str) -> ast.Module:
    return ast.parse(Path(path).read_text(encoding="utf-8"))


def parsed(function: Callable[..., Any]) -> ast.Lambda | ast.FunctionDef:
    """The syntax tree of a function or lambda, found by the places of its instructions."""
    code: CodeType = function.__code__
    places = [(line, column) for line, _, column, _ in code.co_positions() if line and column]
    count = code.co_argcount
    for node in ast.walk(_tree(code.co_filename)):
        if not isinstance(node, (ast.Lambda, ast.FunctionDef)):
            continue
        names = tuple(a.arg for a in node.args.args)
        start, end = (node.lineno, node.col_offset), (node.end_lineno or 0, node.end_col_offset or 0)
        begins = min([node.lineno, *[d.lineno for d in getattr(node, "decorator_list", [])]])
        if (
            names == code.co_varnames[:count]
            and begins == code.co_firstlineno
            and all(start <= p <= end for p in places)
        ):
            return copy.deepcopy(node)
    raise AssertionError(f"the text of {function.__qualname__} is not found in {code.co_filename}")


def compiled(tree: ast.Lambda | ast.FunctionDef, like: Callable[..., Any], names: dict[str, Any]) -> Callable[..., Any]:
    """The function of a syntax tree, with the globals and the closure of ``like``, and other values for ``names``."""
    free, cells = like.__code__.co_freevars, like.__closure__ or ()
    if isinstance(tree, ast.FunctionDef):
        tree = copy.deepcopy(tree)
        tree.decorator_list, tree.returns = [], None
        body: list[ast.stmt] = [tree, ast.Return(ast.Name(tree.name, ast.Load()))]
    else:
        body = [ast.Return(tree)]
    outer = ast.FunctionDef(
        "outer", ast.arguments([], [ast.arg(n) for n in free], None, [], [], None, []), body, [], None, lineno=1
    )
    module = ast.fix_missing_locations(ast.Module([outer], []))
    namespace = {**like.__globals__, **names}
    exec(compile(module, f"<mutant of {like.__qualname__}>", "exec", dont_inherit=True), namespace)
    function: Callable[..., Any] = namespace["outer"](*[c.cell_contents for c in cells])
    return function
