"""Functions and modules of the package stay short enough to be read at once. Benchmarks and tests are not held to it.

A function's length counts from its ``def`` to its last line, signature included, decorators left out. No function is
long, its docstring counted. Nine of ten are short, docstrings left out: the list of arguments of a public function may
be as long as it needs to be.
"""

from __future__ import annotations

import ast
import math
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

import hypoxia_hpc

PACKAGE = Path(hypoxia_hpc.__file__).parent
SOURCES = {path.relative_to(PACKAGE).as_posix(): path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}
MOST_LINES_OF_FUNCTION, MOST_LINES_OF_MODULE, MOST_LINES_AT_P90 = 40, 400, 15


def functions(source: str) -> Iterator[tuple[str, int, int]]:
    """Name of every function and method and its length with and without docstring, nested ones too; a nested one counts
    in the outer one as well, with its docstring."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = _lines(node)
            yield node.name, lines, lines - (_lines(node.body[0]) if ast.get_docstring(node) is not None else 0)


def _lines(node: ast.stmt) -> int:
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno + 1


LENGTHS = [(name, *found) for name, source in SOURCES.items() for found in functions(source)]


def test_a_length_leaves_out_decorators_and_may_leave_out_the_docstring() -> None:
    lines = (
        "@cached",
        "@kernel",
        "def outer(",
        "    n,",
        "):",
        '    """One.',
        "",
        '    Two."""',
        "    def inner():",
        '        """Three."""',
        "    return n",
    )
    assert list(functions("\n".join(lines))) == [("outer", 9, 6), ("inner", 2, 1)]


def test_no_module_is_long() -> None:
    lengths = {name: len(source.splitlines()) for name, source in SOURCES.items()}
    assert len(lengths) > 150
    assert {name: length for name, length in lengths.items() if length > MOST_LINES_OF_MODULE} == {}


def test_no_function_is_long_with_its_docstring() -> None:
    long = [f"{file}: {name}, {lines} lines" for file, name, lines, _ in LENGTHS if lines > MOST_LINES_OF_FUNCTION]
    assert long == []


def test_nine_functions_of_ten_are_short() -> None:
    longest_first = sorted(LENGTHS, key=lambda one: one[3], reverse=True)
    lengths = [code for *_, code in reversed(longest_first)]
    p90 = lengths[math.ceil(0.9 * len(lengths)) - 1]
    sys.stdout.write(
        f"{len(lengths)} functions: median {statistics.median(lengths):g}, p90 {p90}, longest {lengths[-1]}\n"
    )
    assert len(lengths) > 1000
    assert p90 <= MOST_LINES_AT_P90, f"shorten some of these: {longest_first[:20]}"
