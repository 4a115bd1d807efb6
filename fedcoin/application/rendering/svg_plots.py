"""Lay out plots, in SVG user units. The macros of `plots.html.j2` draw them.

Pages need no plotting library. A drawing follows the reader's light or dark theme, shows exact
numbers under the pointer, and always stands beside a table with the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from fedcoin.data.messages.amounts import SAP_PER_FDC, format_amount

LEFT, RIGHT, TOP, BOTTOM = 50, 8, 14, 48
"""The margins around a plot's axes, in SVG user units."""

_MAX_BAR = 60.0
"""The largest width of a bar, in SVG user units, so that a single one does not fill the plot."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A horizontal line across a plot, with its label."""

    # Its vertical position, from the top of the drawing.
    y: float
    # The text beside it.
    label: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle of a bar chart."""

    # Its left and upper edges and its size, in the drawing's units.
    x: float
    y: float
    width: float
    height: float
    # The class of the style sheet that gives its colour.
    kind: str
    # From 0 to 1: later rounds are more opaque.
    shade: float
    # Shown under the pointer.
    title: str


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a sum that is drawn as a stack of bars."""

    # The class of the style sheet that gives its colour.
    kind: str
    # From 0 to 1: later rounds are more opaque.
    shade: float
    # What it is, for the text under the pointer.
    name: str
    # In sap.
    amount: int


@dataclass(frozen=True, slots=True)
class Whisker:
    """A vertical line over a bar: the interval that its value is in."""

    # Its horizontal position, from the left of the drawing.
    x: float
    # Its upper and lower end, from the top of the drawing.
    top: float
    bottom: float


@dataclass(frozen=True, slots=True)
class Label:
    """Two lines of text below a group of bars."""

    # The texts' centre, from the left of the drawing.
    x: float
    # The upper line, and the lower one.
    name: str
    about: str


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a line plot."""

    # Its position, from the left and from the top of the drawing.
    x: float
    y: float
    # The text beside it.
    label: str
    # Shown under the pointer.
    title: str


@dataclass(frozen=True, slots=True)
class Frame:
    """The size of a drawing."""

    # In SVG user units, margins included.
    width: int = 560
    height: int = 270

    @property
    def left(self) -> int:
        """Where the axes begin, from the left of the drawing."""
        return LEFT

    @property
    def right(self) -> int:
        """Where the axes end, from the left of the drawing."""
        return self.width - RIGHT

    @property
    def bottom(self) -> int:
        """Where the vertical axis ends, from the top of the drawing."""
        return self.height - BOTTOM

    def slots(self, count: int) -> list[tuple[float, float]]:
        """Divide the horizontal axis.

        Args:
            count: How many slots are needed.

        Returns:
            The left edge and the width of each slot, in SVG user units.
        """
        width = (self.width - LEFT - RIGHT) / max(count, 1)
        return [(LEFT + index * width, width) for index in range(count)]

    def make_scale(
        self, values: Sequence[float], format_value: Callable[[float], str]
    ) -> tuple[Callable[[float], float], tuple[Tick, ...]]:
        """Make a vertical axis that includes all values and zero.

        Args:
            values: The values that are drawn.
            format_value: Formats a tick's value.

        Returns:
            A function from a value to its vertical position, and the axis' ticks.
        """
        marks = choose_ticks(min([*values, 0.0]), max([*values, 0.0]))
        low, high = marks[0], marks[-1]
        span = self.height - TOP - BOTTOM

        def scale(value: float) -> float:
            return TOP + span * (high - value) / (high - low)

        return scale, tuple(Tick(scale(mark), format_value(mark)) for mark in marks)


HALF = Frame()
"""The size of a plot of which two stand side by side on a wide page."""
WIDE = Frame(1120, 300)
"""The size of a plot that is as wide as the page."""


@dataclass(frozen=True, slots=True)
class Plot:
    """One plot: bars or points, with ticks and labels."""

    # The plot's heading.
    title: str
    # What the vertical axis shows, with its unit.
    unit: str
    ticks: tuple[Tick, ...]
    # Where the value zero is on the vertical axis.
    zero: float
    bars: tuple[Bar, ...] = ()
    labels: tuple[Label, ...] = ()
    points: tuple[Point, ...] = ()
    whiskers: tuple[Whisker, ...] = ()
    frame: Frame = HALF


def choose_ticks(low: float, high: float, target_count: int = 5) -> tuple[float, ...]:
    """Choose evenly spaced round numbers that enclose a range.

    Args:
        low: The smallest value.
        high: The largest value; a range of less than 1e-9 is widened to one.
        target_count: About how many steps the axis should have.

    Returns:
        Multiples of 1, 2 or 5 times a power of ten, from at most `low` to at least `high`.
    """
    if high - low < 1e-9:
        high = low + 1.0
    min_step = (high - low) / target_count
    power = 10.0 ** math.floor(math.log10(min_step))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= min_step * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return tuple(round(index * step, 12) for index in range(first, last + 1))


def stack_parts(
    scale: Callable[[float], float], left: float, width: float, parts: Sequence[Part]
) -> Iterator[Bar]:
    """Stack parts of a sum on one another, leaving out those of zero.

    Args:
        scale: Gives the vertical position of an amount in FDC.
        left: The bars' left edge, in SVG user units.
        width: How wide the bars are, in SVG user units.
        parts: The parts, the lowest bar first.

    Yields:
        One bar for each part above zero.
    """
    below = 0
    for part in parts:
        if not part.amount:
            continue
        bottom, top = scale(below / SAP_PER_FDC), scale((below + part.amount) / SAP_PER_FDC)
        below += part.amount
        title = f"{part.name}: {format_amount(part.amount)}"
        yield Bar(left, top, width, bottom - top, part.kind, part.shade, title)


def plot_stacks(
    title: str, unit: str, frame: Frame, stacks: Sequence[tuple[str, Sequence[Part]]]
) -> Plot:
    """Plot sums of amounts, one stack of bars for each.

    Args:
        title: The plot's heading.
        unit: What the vertical axis shows; amounts are in FDC.
        frame: The drawing's size.
        stacks: For each stack the text below it and its parts. With more than 16 only some have a
            text.

    Returns:
        The plot.
    """
    totals = [sum(part.amount for part in parts) / SAP_PER_FDC for _, parts in stacks]
    scale, ticks = frame.make_scale(totals, lambda value: f"{value:g}")
    bars: list[Bar] = []
    labels = []
    step = _label_step(len(stacks))
    for index, ((left, slot), (name, parts)) in enumerate(
        zip(frame.slots(len(stacks)), stacks, strict=True)
    ):
        width = min(0.6 * slot, _MAX_BAR)
        bars += stack_parts(scale, left + (slot - width) / 2, width, parts)
        if index % step == 0:
            labels.append(Label(left + 0.5 * slot, name, ""))
    return Plot(title, unit, ticks, scale(0.0), tuple(bars), tuple(labels), frame=frame)


def connect_points(
    frame: Frame,
    scale: Callable[[float], float],
    values: Sequence[tuple[str, float, str]],
) -> tuple[tuple[Point, ...], tuple[Label, ...]]:
    """Lay out a line from slot to slot, with a label below each.

    Args:
        frame: The drawing's size.
        scale: Gives the vertical position of a value.
        values: For each slot the name below it, the value, and the value as text.

    Returns:
        The points and the labels. With more than 16 slots only some have a label.
    """
    slots = frame.slots(len(values))
    step = _label_step(len(values))
    points, labels = [], []
    for index, ((left, width), (name, value, text)) in enumerate(zip(slots, values, strict=True)):
        x = left + width / 2
        points.append(Point(x, scale(value), text, f"{name}: {text}"))
        if index % step == 0:
            labels.append(Label(x, name, ""))
    return tuple(points), tuple(labels)


def _label_step(count: int) -> int:
    """Choose the step from one labelled slot to the next, so that labels do not overlap."""
    return max(1, math.ceil(count / 16))
