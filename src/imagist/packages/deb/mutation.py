"""The scripts of slices: what they write, out of what they read.

They are written in Starlark. Those there are put files together, copy one, or choose one of two;
what they need for that is understood here, and everything else is refused.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Final, Protocol

from imagist.errors import InputError

Value = str | bool | list[str]
_MOST_STEPS: Final = 100_000
_MOST_TEXT: Final = 16 << 20
"""Characters of all texts that a script makes or reads, and items of its lists."""
_METHODS: Final[dict[str, Callable[..., object]]] = {
    "strip": str.strip, "rstrip": str.rstrip, "lstrip": str.lstrip, "replace": str.replace,
    "split": str.split, "splitlines": str.splitlines, "startswith": str.startswith,
    "endswith": str.endswith, "join": str.join,
}  # fmt: skip


class Access(Protocol):
    """What scripts may do: `content` in their language. Paths are absolute."""

    def read(self, path: str) -> str:
        """The text of a file; `InputError` where there is none."""

    def write(self, path: str, text: str) -> None:
        """Replace the text of a file; `InputError` where the slice may not."""

    def list(self, path: str) -> list[str]:
        """The names in a folder, those of folders with a slash at their end."""


def run_mutation(script: str, access: Access, what: str) -> None:
    """Carry out a script.

    Args:
        script: its text.
        access: the files.
        what: names the slice in errors.

    Raises:
        InputError: it does what is not understood, or may not be done.
    """
    try:
        module = ast.parse(script)
        _Script(access, what).run(module.body)
    except (SyntaxError, ValueError, RecursionError) as error:
        raise InputError(f"the script of {what} cannot be read: {error}") from None


def _size_of(method: str, text: str, arguments: list[Value]) -> int:
    """Characters of what a method makes, at most."""
    if method == "join" and isinstance(arguments[0], list):
        return sum(len(text) + len(item) for item in arguments[0])
    if method == "replace" and len(arguments) > 1:
        old, new = str(arguments[0]), str(arguments[1])
        return len(text) + text.count(old) * len(new)
    return len(text)


class _Script:
    def __init__(self, access: Access, what: str) -> None:
        self._access = access
        self._what = what
        self._names: dict[str, Value] = {}
        self._steps = 0
        self._made = 0

    def run(self, body: list[ast.stmt]) -> None:
        for statement in body:
            match statement:
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    self._names[name] = self._value(value)
                case ast.Expr(value=ast.Call() as call):
                    self._call(call)
                case ast.If(test=test, body=then, orelse=otherwise):
                    self.run(then if self._value(test) else otherwise)
                case ast.For(target=ast.Name(id=name), iter=items, body=inner, orelse=[]):
                    for item in self._strings(items):
                        self._names[name] = item
                        self.run(inner)
                case _:
                    raise self._refuse(statement)

    def _value(self, node: ast.expr) -> Value:
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise InputError(f"the script of {self._what} does not come to its end")
        match node:
            case ast.Constant(value=str() | bool() as value):
                return value
            case ast.Name(id=name) if name in self._names:
                return self._names[name]
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self._add(node, self._value(left), self._value(right))
            case ast.List(elts=items):
                return [self._string(item) for item in items]
            case ast.ListComp(elt=item, generators=[ast.comprehension(ifs=[]) as loop]):
                return self._loop(node, item, loop)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return not self._value(operand)
            case ast.Compare(left=left, ops=[operator], comparators=[right]):
                return self._compare(node, left, operator, right)
            case ast.Call():
                found = self._call(node)
                if isinstance(found, str | bool | list):
                    return found
            case _:
                pass
        raise self._refuse(node)

    def _add(self, node: ast.expr, left: Value, right: Value) -> Value:
        if isinstance(left, str) and isinstance(right, str):
            self._spend(len(left) + len(right))
            return left + right
        if isinstance(left, list) and isinstance(right, list):
            self._spend(len(left) + len(right))
            return left + right
        raise self._refuse(node)

    def _spend(self, size: int) -> None:
        """Count what is about to be made."""
        self._made += size
        if self._made > _MOST_TEXT:
            raise InputError(f"the script of {self._what} makes too much text")

    def _loop(self, node: ast.expr, item: ast.expr, loop: ast.comprehension) -> list[str]:
        if not isinstance(loop.target, ast.Name):
            raise self._refuse(node)
        found = []
        for value in self._strings(loop.iter):
            self._names[loop.target.id] = value
            found.append(self._string(item))
        return found

    def _compare(
        self, node: ast.expr, left: ast.expr, operator: ast.cmpop, right: ast.expr
    ) -> bool:
        one, other = self._value(left), self._value(right)
        if isinstance(operator, ast.Eq):
            return one == other
        if isinstance(operator, ast.NotEq):
            return one != other
        if isinstance(operator, ast.In | ast.NotIn) and isinstance(one, str):
            is_in = isinstance(other, str | list) and one in other
            return is_in == isinstance(operator, ast.In)
        raise self._refuse(node)

    def _call(self, node: ast.Call) -> object:
        if node.keywords or not isinstance(node.func, ast.Attribute):
            raise self._refuse(node)
        name, owner = node.func.attr, node.func.value
        if isinstance(owner, ast.Name) and owner.id == "content":
            texts = [self._string(argument) for argument in node.args]
            allowed = {"read": 1, "write": 2, "list": 1}
            if allowed.get(name) != len(texts):
                raise self._refuse(node)
            found = getattr(self._access, name)(*texts)
            self._spend(len(found or ""))
            return found
        text, arguments = self._string(owner), [self._value(argument) for argument in node.args]
        if name not in _METHODS:
            raise self._refuse(node)
        try:
            self._spend(_size_of(name, text, arguments))
            return _METHODS[name](text, *arguments)
        except (TypeError, ValueError):
            raise self._refuse(node) from None

    def _string(self, node: ast.expr) -> str:
        value = self._value(node)
        if not isinstance(value, str):
            raise self._refuse(node)
        return value

    def _strings(self, node: ast.expr) -> list[str]:
        value = self._value(node)
        if not isinstance(value, list):
            raise self._refuse(node)
        return value

    def _refuse(self, node: ast.AST) -> InputError:
        line = getattr(node, "lineno", 0)
        return InputError(
            f"the script of {self._what} does in line {line} what is not understood: "
            f"`{ast.unparse(node)[:60]}`",
            help="leave the slice out, and place what it makes with `files`",
        )
