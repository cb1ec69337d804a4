"""Functions and modules of the package stay short enough to be read at once. Benchmarks and tests are not held to it.

A function's length counts from its ``def`` to its last line, signature included. Decorators and the docstring are left
out: the list of arguments of a public function may be as long as it needs to be.
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


def functions(source: str) -> Iterator[tuple[str, int]]:
    """Name and length of every function and method, nested ones too; a nested one counts in the outer one as well."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, _lines(node) - (_lines(node.body[0]) if ast.get_docstring(node) is not None else 0)


def _lines(node: ast.stmt) -> int:
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno + 1


LENGTHS = {
    f"{name}: {function}, line count {length}": length
    for name, source in SOURCES.items()
    for function, length in functions(source)
}


def test_a_length_leaves_out_decorators_and_the_docstring() -> None:
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
    assert list(functions("\n".join(lines))) == [("outer", 6), ("inner", 1)]


def test_no_module_is_long() -> None:
    lengths = {name: len(source.splitlines()) for name, source in SOURCES.items()}
    assert len(lengths) > 150
    assert {name: length for name, length in lengths.items() if length > MOST_LINES_OF_MODULE} == {}


def test_no_function_is_long() -> None:
    assert [name for name, length in LENGTHS.items() if length > MOST_LINES_OF_FUNCTION] == []


def test_nine_functions_of_ten_are_short() -> None:
    lengths = sorted(length for source in SOURCES.values() for _, length in functions(source))
    p90 = lengths[math.ceil(0.9 * len(lengths)) - 1]
    sys.stdout.write(
        f"{len(lengths)} functions: median {statistics.median(lengths):g}, p90 {p90}, longest {lengths[-1]}\n"
    )
    assert len(lengths) > 1000
    longest_first = sorted(LENGTHS, key=LENGTHS.__getitem__, reverse=True)
    assert p90 <= MOST_LINES_AT_P90, f"shorten some of these: {longest_first[:20]}"
