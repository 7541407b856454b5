"""Count files and lines of every room of the package and check the total against its limit."""

import ast
import io
import sys
import tokenize
from collections import Counter
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "minikeras"
# The compiler is a third of it: with recurrent and attention layers nothing must be added without
# something being taken away.
LIMIT = 38_600
KINDS = ("files", "lines", "code", "docstring", "comment", "blank")
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}


def is_docstring(statement):
    """Tell whether `statement` is a string that stands alone, below an attribute too."""
    value = getattr(statement, "value", None)
    return isinstance(statement, ast.Expr) and isinstance(getattr(value, "value", None), str)


def docstring_lines(text):
    """Return the numbers of the lines that docstrings cover."""
    blocks = (node.body for node in ast.walk(ast.parse(text)) if isinstance(node, DOCUMENTED))
    strings = (statement for block in blocks for statement in block if is_docstring(statement))
    return {line for each in strings for line in range(each.lineno, each.end_lineno + 1)}


def count(text):
    """Count the lines of one file by kind; a comment behind code counts as code."""
    docstrings, code, comments = docstring_lines(text), set(), set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in NO_CODE:
            code.update(range(token.start[0], token.end[0] + 1))
        elif token.type == tokenize.COMMENT:
            comments.add(token.start[0])
    lines, code = len(text.splitlines()), code - docstrings
    kinds = (1, lines, len(code), len(docstrings), len(comments - code - docstrings))
    return Counter(dict(zip(KINDS, (*kinds, lines - sum(kinds[2:])), strict=True)))


def rooms(package):
    """Return `{room: counts}`; a room is a folder or a single file at the top of the package."""
    table = {}
    for path in sorted(package.rglob("*.py")):
        inside = path.relative_to(package)
        room = f"{inside.parts[0]}/" if len(inside.parts) > 1 else inside.stem
        table.setdefault(room, Counter()).update(count(path.read_text(encoding="utf-8")))
    return table


def main():
    """Print the table; exit with an error if the package has outgrown its limit."""
    table = rooms(PACKAGE)
    total = sum(table.values(), Counter())
    print(f"{'room':<16}" + "".join(f"{kind:>11}" for kind in KINDS))
    for room, counts in [*sorted(table.items()), ("total", total)]:
        print(f"{room:<16}" + "".join(f"{counts[kind]:>11,}" for kind in KINDS))
    if total["lines"] >= LIMIT:
        sys.exit(f"minikeras: expected fewer than {LIMIT:,} lines, got {total['lines']:,}.")


if __name__ == "__main__":
    main()
