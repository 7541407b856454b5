"""Draw a table of text with box characters."""

import re
from collections.abc import Sequence

_ALIGN = {"Param #": str.rjust, "Trainable": str.center}


def column_widths(ends: Sequence[float], length: int) -> list[int]:
    """Return the widths of columns, without the space that cells begin and end with.

    Args:
        ends: where columns end, as shares of the line.
        length: of the line, bars included.
    """
    marks = [int(end * length) for end in ends]
    widths = [stop - start + 2 for start, stop in zip([0, *marks], marks, strict=False)]
    excess = sum(widths) - (length - len(widths) - 1)
    for i, width in enumerate(widths):  # each column gives up its share of what is too much
        share = min(width, round(excess / (len(widths) - i)))
        widths[i] -= share
        excess -= share
    if min(widths) < 4:
        raise ValueError(
            f"summary: expected a line_length for {len(widths)} columns, got {length}."
        )
    return [width - 2 for width in widths]


def drawn(heads: list[str], rows: list[list[str]], widths: list[int]) -> list[str]:
    """Draw the table with box characters; long cells go on in the next line."""
    lines = [_rule("┏━┳┓", widths), *_cells(heads, heads, widths, "┃"), _rule("┡━╇┩", widths)]
    for i, row in enumerate(rows):
        if i:
            lines.append(_rule("├─┼┤", widths))
        lines += _cells(row, heads, widths, "│")
    return [*lines, _rule("└─┴┘", widths)]


def _rule(chars: str, widths: list[int]) -> str:
    left, line, cross, right = tuple(chars)
    return left + cross.join(line * (width + 2) for width in widths) + right


def _cells(row: list[str], heads: list[str], widths: list[int], bar: str) -> list[str]:
    columns = [_wrapped(cell, width) for cell, width in zip(row, widths, strict=True)]
    lines = []
    for k in range(max(map(len, columns))):
        cells = [
            _ALIGN.get(head, str.ljust)(column[k] if k < len(column) else "", width)
            for column, head, width in zip(columns, heads, widths, strict=True)
        ]
        lines.append(bar + bar.join(f" {cell} " for cell in cells) + bar)
    return lines


def _wrapped(text: str, width: int) -> list[str]:
    """Break text between words into lines, and shorten words that are wider than a line."""
    lines = [""]
    for word in re.findall(r"\s*\S+\s*", text):
        if lines[-1] and len(lines[-1]) + len(word.rstrip()) > width:
            lines.append("")
        lines[-1] += word
    lines = [line.rstrip() for line in lines]
    return [line if len(line) <= width else f"{line[: width - 1]}…" for line in lines]
