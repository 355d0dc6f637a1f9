"""test(1): what conditions come to, as far as their operands are known."""

from __future__ import annotations

from typing import Final

from imagist.packages.deb.scripts.system import System

Truth = bool | None
_NUMBERS: Final = {
    "-eq": int.__eq__, "-ne": int.__ne__, "-lt": int.__lt__, "-le": int.__le__,
    "-gt": int.__gt__, "-ge": int.__ge__,
}  # fmt: skip


def evaluate_test(arguments: list[str | None], system: System) -> Truth:
    """A condition; None where it cannot be told."""
    for operator, dominant in (("-o", True), ("-a", False)):
        if operator in arguments[1:-1] and len(arguments) > 3:
            place = arguments.index(operator, 1)
            left = evaluate_test(arguments[:place], system)
            right = evaluate_test(arguments[place + 1 :], system)
            if dominant in {left, right}:
                return dominant
            return None if None in {left, right} else not dominant
    if arguments[:1] == ["!"] and len(arguments) > 1:
        truth = evaluate_test(arguments[1:], system)
        return None if truth is None else not truth
    if not arguments:
        return False
    if len(arguments) == 1:
        return None if arguments[0] is None else bool(arguments[0])
    if len(arguments) == 2:
        return _evaluate_one(arguments[0], arguments[1], system)
    return _evaluate_two(arguments) if len(arguments) == 3 else None


def _evaluate_one(operator: str | None, operand: str | None, system: System) -> Truth:
    if operand is None:
        return None
    if operator == "-n":
        return bool(operand)
    if operator == "-z":
        return not operand
    if not operand.startswith("/"):
        return False if not operand else None
    if operand.startswith(("/run/", "/proc/", "/sys/", "/dev/")):
        return operator != "-e" and operand in {"/run/", "/proc/"}
    if operator in {"-e", "-r", "-x", "-w"}:
        return system.exists(operand)
    if operator in {"-L", "-h"}:
        return system.is_kind(operand, "symlink")
    if operator == "-s":
        return system.exists(operand) and not system.is_empty(operand)
    kind = {"-f": "file", "-d": "directory"}.get(operator or "")
    return system.is_kind(operand, kind) if kind else None


def _evaluate_two(arguments: list[str | None]) -> Truth:
    left, operator, right = arguments
    if left is None or right is None:
        return None
    if operator in {"=", "=="}:
        return left == right
    if operator == "!=":
        return left != right
    compare = _NUMBERS.get(operator or "")
    if compare is None or not (left.lstrip("-").isdigit() and right.lstrip("-").isdigit()):
        return None
    return bool(compare(int(left), int(right)))
