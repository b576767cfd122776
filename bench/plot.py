"""Plots as SVG: one strip per contestant, all strips of a suite on one scale.

A strip is stretched to the available width, so it contains only marks (bars, lines, ticks), never text, and lines keep
their width (`vector-effect`). The page defines the colours, by class.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import msgspec

WIDTH: Final = 1000
"""Width of a strip, in its own units."""
HEIGHT: Final = 24
SPAN_LINEAR_MAX: Final = 20.0
"""Largest ratio of values for bars from zero; beyond it the scale is logarithmic."""
MARGIN: Final = 1.04


class Scale(msgspec.Struct, frozen=True):
    """Maps values to positions on a strip. Linear scales begin at 0, logarithmic ones at a power of ten."""

    low: float
    high: float
    logarithmic: bool

    def place(self, value: float) -> float:
        """Position of a value, 0 to WIDTH; values outside the scale are put at the edge."""
        if self.logarithmic:
            share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            share = value / self.high
        return round(WIDTH * min(max(share, 0.0), 1.0), 1)

    def ticks(self) -> list[float]:
        """Values for an axis: powers of ten, or about four round steps."""
        if self.logarithmic:
            first, last = round(math.log10(self.low)), math.floor(math.log10(self.high))
            powers = range(first, last + 1, max(1, math.ceil((last - first) / 5)))
            return [10.0**power for power in powers]
        step = _round_step(self.high / 4)
        return [step * count for count in range(int(self.high / step) + 1)]


def scale_for(values: Sequence[float], always_logarithmic: bool = False) -> Scale:
    """A scale for all values, which must be positive; at least one."""
    low, high = min(values), max(values)
    if always_logarithmic or high / low > SPAN_LINEAR_MAX:
        return Scale(10.0 ** math.floor(math.log10(low)), high * MARGIN, logarithmic=True)
    return Scale(0.0, high * MARGIN, logarithmic=False)


def bar(scale: Scale, middle: float, values: Sequence[float], label: str) -> str:
    """A bar to the median (a mark on a logarithmic scale), and a tick for each round."""
    at = scale.place(middle)
    shape = (
        _line(at, 2, 22, "median") if scale.logarithmic else f'<rect class="bar" x="0" y="4" width="{at}" height="16"/>'
    )
    lowest, highest = scale.place(min(values)), scale.place(max(values))
    spread = f'<path class="spread" d="M{lowest} 12H{highest}"/>'
    ticks = "".join(_line(scale.place(value), 8, 16, "round") for value in values)
    return _strip(_grid(scale) + shape + spread + ticks, label)


def percentiles(scale: Scale, taken_ns: dict[str, float], label: str) -> str:
    """A line from the median to the largest time, with a tick at each percentile, shorter for higher ones."""
    places = [scale.place(value) for value in taken_ns.values()]
    line = f'<path class="spread" d="M{places[0]} 12H{places[-1]}"/>'
    ticks = "".join(_line(at, 2 + 2 * n, 22 - 2 * n, "median" if n == 0 else "round") for n, at in enumerate(places))
    return _strip(_grid(scale) + line + ticks, label)


def _grid(scale: Scale) -> str:
    return "".join(_line(scale.place(value), 0, HEIGHT, "grid") for value in scale.ticks())


def _line(x: float, top: float, bottom: float, kind: str) -> str:
    return f'<path class="{kind}" d="M{x} {top}V{bottom}"/>'


def _strip(marks: str, label: str) -> str:
    from html import escape

    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(label, quote=True)}">{marks}</svg>'
    )


def _round_step(about: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that does not exceed `about`, which is positive."""
    power = 10.0 ** math.floor(math.log10(about))
    return max(step * power for step in (1, 2, 5) if step * power <= about)
