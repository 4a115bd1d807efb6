"""Draw the study's figures as SVG, this network's numbers beside the paper's.

Colours are readable on light and dark backgrounds, and each mark has a title for the pointer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from fedcoin.application.rendering.svg_plots import (
    BOTTOM,
    HALF,
    LEFT,
    RIGHT,
    TOP,
    choose_ticks,
)

WIDTH, HEIGHT = HALF.width, HALF.height

GREY = "#808890"
"""The colour of axes and labels."""

COLOURS = ("#3b82d0", "#d9822b", "#4a9d5b")
"""The colours of the series, in order."""


@dataclass(frozen=True, slots=True)
class Series:
    """Numbers of one source."""

    name: str
    # x and y of each point; in a bar chart x is the group's position, from 0.
    points: tuple[tuple[float, float], ...]


def draw_bars(title: str, groups: Sequence[str], series: Sequence[Series]) -> str:
    """Draw a group of bars for each name, one bar for each series.

    Args:
        title: What the vertical axis shows.
        groups: The groups' names.
        series: Values of each group.

    Returns:
        An SVG document.
    """
    scale, ticks = HALF.make_scale(
        [y for each in series for _, y in each.points], lambda v: f"{v:g}"
    )
    marks = [_line(LEFT, tick.y, WIDTH - RIGHT, tick.y, 0.3) for tick in ticks]
    marks += [_text(LEFT - 6, tick.y + 4, tick.label, "end") for tick in ticks]
    slot = (WIDTH - LEFT - RIGHT) / len(groups)
    width = 0.8 * slot / len(series)
    for number, name in enumerate(groups):
        marks.append(_text(LEFT + (number + 0.5) * slot, HEIGHT - BOTTOM + 18, name))
    for index, each in enumerate(series):
        for x, y in each.points:
            top, bottom = sorted((scale(y), scale(0.0)))
            left = LEFT + (x + 0.1) * slot + index * width
            told = f"<title>{escape(f'{each.name}, {groups[int(x)]}: {y:.4g}')}</title>"
            marks.append(
                f'<rect x="{left:.1f}" y="{top:.1f}" width="{0.9 * width:.1f}" '
                f'height="{bottom - top:.1f}" fill="{COLOURS[index]}">{told}</rect>'
            )
    marks.append(_line(LEFT, scale(0.0), WIDTH - RIGHT, scale(0.0), 1.0))
    return _document(title, marks, series)


def draw_lines(title: str, x_title: str, series: Sequence[Series]) -> str:
    """Draw lines over a logarithmic vertical axis.

    Args:
        title: What the vertical axis shows.
        x_title: What the horizontal axis shows.
        series: Points with y above 0.

    Returns:
        An SVG document.
    """
    xs = [x for each in series for x, _ in each.points]
    ys = [y for each in series for _, y in each.points]
    low = math.floor(math.log10(min(ys)))
    high = max(low + 1, math.ceil(math.log10(max(ys))))
    span = HEIGHT - TOP - BOTTOM

    def place_y(value: float) -> float:
        return TOP + span * (high - math.log10(value)) / (high - low)

    x_ticks = choose_ticks(min(xs), max(xs), 6)

    def place_x(value: float) -> float:
        part = (value - x_ticks[0]) / (x_ticks[-1] - x_ticks[0])
        return LEFT + 10 + (WIDTH - LEFT - RIGHT - 20) * part

    marks = []
    for power in range(low, high + 1):
        y = place_y(10.0**power)
        marks += [_line(LEFT, y, WIDTH - RIGHT, y, 0.3)]
        marks += [_text(LEFT - 6, y + 4, f"{10**power:,}", "end")]
    for tick in x_ticks:
        marks.append(_text(place_x(tick), HEIGHT - BOTTOM + 16, f"{tick:g}"))
    marks.append(_text(WIDTH / 2, HEIGHT - BOTTOM + 32, x_title))
    for index, each in enumerate(series):
        marks += _draw_line(each, COLOURS[index], place_x, place_y)
    return _document(title, marks, series)


def _draw_line(
    series: Series,
    colour: str,
    place_x: Callable[[float], float],
    place_y: Callable[[float], float],
) -> list[str]:
    path = " ".join(f"{place_x(x):.1f},{place_y(y):.1f}" for x, y in series.points)
    marks = [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>']
    for x, y in series.points:
        told = f"<title>{escape(f'{series.name}, {x:g}: {y:,.4g}')}</title>"
        marks.append(
            f'<circle cx="{place_x(x):.1f}" cy="{place_y(y):.1f}" r="3.5" fill="{colour}">'
            f"{told}</circle>"
        )
    return marks


def _document(title: str, marks: Sequence[str], series: Sequence[Series]) -> str:
    legend = []
    for index, each in enumerate(series):
        x = LEFT + 190 * index
        legend.append(
            f'<rect x="{x}" y="{HEIGHT + 2}" width="11" height="11" fill="{COLOURS[index]}"/>'
        )
        legend.append(_text(x + 16, HEIGHT + 12, each.name, "start"))
    body = "\n".join([*marks, *legend, _text(LEFT, 10, title, "start")])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT + 20}" '
        f'role="img" aria-label="{escape(title)}" font-family="sans-serif" font-size="11" '
        f'fill="{GREY}">\n{body}\n</svg>\n'
    )


def _line(x1: float, y1: float, x2: float, y2: float, opacity: float) -> str:
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{GREY}" stroke-opacity="{opacity:g}"/>'


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
