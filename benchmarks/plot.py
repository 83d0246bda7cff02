# SPDX-License-Identifier: Apache-2.0
"""Plots as SVG: lines on two logarithmic axes, and strips of dots."""

from collections.abc import Mapping
from collections.abc import Sequence
import math
from pathlib import Path
import statistics
from xml.sax import saxutils

WIDTH, HEIGHT = 760, 460
LEFT, RIGHT, TOP, BOTTOM = 78, 30, 78, 62
COLOURS = ('#0b7a75', '#c8553d', '#4f5d75')
INK, FAINT, GRID = '#22272e', '#6b7280', '#e3e6ea'
FONT = "font-family='Helvetica, Arial, sans-serif'"


class _Axis:
    """Maps numbers to positions, decade by decade."""

    def __init__(self, numbers: Sequence[float], start: float, end: float,
                 pad: float = 0.0):
        self.low = math.floor(math.log10(min(numbers)) + 1e-9)
        self.high = math.ceil(math.log10(max(numbers)) - 1e-9)
        self.start, self.end = start, end
        self._pad = pad

    def __call__(self, number: float) -> float:
        low, high = self.low - self._pad, self.high + self._pad
        part = (math.log10(number) - low) / (high - low)
        return self.start + part * (self.end - self.start)

    def decades(self) -> list[float]:
        return [10.0 ** n for n in range(self.low, self.high + 1)]


def _text(x: float, y: float, text: str, *, size: int = 12,
          fill: str = INK, anchor: str = 'start', more: str = '') -> str:
    return (f"<text x='{x:.1f}' y='{y:.1f}' font-size='{size}' "
            f"fill='{fill}' text-anchor='{anchor}' {FONT} {more}>"
            f'{saxutils.escape(text)}</text>')


def _line(x1: float, y1: float, x2: float, y2: float, colour: str,
          width: float = 1) -> str:
    return (f"<line x1='{x1:.1f}' y1='{y1:.1f}' x2='{x2:.1f}' y2='{y2:.1f}' "
            f"stroke='{colour}' stroke-width='{width}'/>")


def _number(value: float) -> str:
    return f'{value:,.0f}' if value >= 1 else f'{value:g}'


def _series(x: _Axis, y: _Axis, xs: Sequence[float],
            runs: Sequence[Sequence[float]], colour: str,
            below: bool) -> list[str]:
    """Draw the band of all runs, the line of medians and its labels."""
    middle = [statistics.median(r) for r in runs]
    points = [(x(n), y(m)) for n, m in zip(xs, middle, strict=True)]
    band = ([(x(n), y(max(r))) for n, r in zip(xs, runs, strict=True)]
            + [(x(n), y(min(r)))
               for n, r in reversed(list(zip(xs, runs, strict=True)))])

    def joined(pairs: Sequence[tuple[float, float]]) -> str:
        return ' '.join(f'{px:.1f},{py:.1f}' for px, py in pairs)

    parts = [f"<polygon points='{joined(band)}' fill='{colour}' "
             "fill-opacity='0.18'/>",
             f"<polyline points='{joined(points)}' fill='none' "
             f"stroke='{colour}' stroke-width='2.5' "
             "stroke-linejoin='round' stroke-linecap='round'/>"]
    for (px, py), value in zip(points, middle, strict=True):
        parts.append(f"<circle cx='{px:.1f}' cy='{py:.1f}' r='4.5' "
                     f"fill='{colour}' stroke='white' stroke-width='1.5'/>")
        parts.append(_text(
            px, py + 19 if below else py - 11,
            f'{value:,.0f}' if value >= 100 else f'{value:.3g}',
            fill=colour, anchor='middle', more="font-weight='600'"))
    return parts


def growth(path: Path, xs: Sequence[float],
           series: Mapping[str, Sequence[Sequence[float]]], *, title: str,
           subtitle: str, x_label: str, y_label: str) -> None:
    """Write a plot of several series over one axis of numbers.

    :param xs: positions
    :param series: by name, for each position the numbers of all runs; the
        first is the one to be lowest
    """
    numbers = [n for runs in series.values() for run in runs for n in run]
    x = _Axis(xs, LEFT, WIDTH - RIGHT, pad=0.12)
    y = _Axis(numbers, HEIGHT - BOTTOM, TOP + 14, pad=0.18)
    parts = [f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' "
             f"height='{HEIGHT}' viewBox='0 0 {WIDTH} {HEIGHT}' role='img'>",
             f'<title>{saxutils.escape(title)}</title>',
             f"<rect width='{WIDTH}' height='{HEIGHT}' fill='white'/>",
             _text(LEFT, 28, title, size=17, more="font-weight='600'"),
             _text(LEFT, 47, subtitle, fill=FAINT)]
    for value in y.decades():
        parts += [_line(LEFT, y(value), WIDTH - RIGHT, y(value), GRID),
                  _text(LEFT - 9, y(value) + 4, _number(value), fill=FAINT,
                        anchor='end')]
    for value in xs:
        parts += [_line(x(value), HEIGHT - BOTTOM, x(value),
                        HEIGHT - BOTTOM + 5, FAINT),
                  _text(x(value), HEIGHT - BOTTOM + 21, _number(value),
                        fill=FAINT, anchor='middle')]
    parts += [_line(LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM,
                    FAINT),
              _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 16, x_label,
                    anchor='middle'),
              _text(0, 0, y_label, anchor='middle', more='transform='
                    f"'translate(22,{(TOP + HEIGHT - BOTTOM) / 2:.0f}) "
                    "rotate(-90)'")]
    at = float(LEFT)
    for (name, runs), colour in zip(series.items(), COLOURS, strict=False):
        parts += [_line(at, 66, at + 22, 66, colour, 3),
                  _text(at + 29, 70, name, fill=colour,
                        more="font-weight='600'")]
        at += 29 + 7.2 * len(name) + 24
        parts += _series(x, y, xs, runs, colour, below=colour == COLOURS[0])
    path.write_text('\n'.join([*parts, '</svg>', '']))


#: Strips: where the two panels lie, and how high a row is.
_PANELS, _ROW = ((170, 470), (500, WIDTH - RIGHT)), 34


class _Linear:
    """Maps numbers from 0 to positions."""

    def __init__(self, high: float, start: float, end: float) -> None:
        self.high, self.start, self.end = math.ceil(high), start, end

    def __call__(self, number: float) -> float:
        return self.start + number / self.high * (self.end - self.start)

    def ticks(self) -> list[float]:
        return [float(n) for n in range(self.high + 1)]


def _dots(axis: _Linear, y: float, numbers: Sequence[float],
          colour: str) -> list[str]:
    """Draw one dot for each run, and a stroke at their median."""
    middle = axis(statistics.median(numbers))
    return [*(f"<circle cx='{axis(n):.1f}' cy='{y:.1f}' r='3.2' "
              f"fill='{colour}' fill-opacity='0.45'/>" for n in numbers),
            _line(middle, y - 6, middle, y + 6, colour, 2.5)]


def strips(path: Path, rows: Sequence[str],
           panels: Mapping[str, Mapping[str, Sequence[Sequence[float]]]], *,
           title: str, subtitle: str) -> None:
    """Write two panels of dots, one row for each kind of work.

    :param panels: by the label of its axis, for each series the numbers of
        all runs, row by row; an empty row is left out
    """
    bottom = TOP + 16 + _ROW * len(rows)
    height = bottom + 58
    parts = [f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' "
             f"height='{height}' viewBox='0 0 {WIDTH} {height}' role='img'>",
             f'<title>{saxutils.escape(title)}</title>',
             f"<rect width='{WIDTH}' height='{height}' fill='white'/>",
             _text(20, 28, title, size=17, more="font-weight='600'"),
             _text(20, 47, subtitle, fill=FAINT)]
    at = 20.0
    for name, colour in zip(next(iter(panels.values())), COLOURS,
                            strict=False):
        parts += [f"<circle cx='{at + 5}' cy='66' r='4' fill='{colour}'/>",
                  _text(at + 15, 70, name, fill=colour,
                        more="font-weight='600'")]
        at += 15 + 7.2 * len(name) + 24
    for number, row in enumerate(rows):
        parts.append(_text(_PANELS[0][0] - 14, TOP + 37 + _ROW * number, row,
                           anchor='end'))
    for (label, series), (start, end) in zip(
            panels.items(), _PANELS, strict=True):
        axis = _Linear(max((n for runs in series.values() for run in runs
                            for n in run), default=1) or 1, start, end)
        for tick in axis.ticks():
            parts += [_line(axis(tick), TOP + 12, axis(tick), bottom, GRID),
                      _text(axis(tick), bottom + 17, f'{tick:g}',
                            fill=FAINT, anchor='middle')]
        parts.append(_text((start + end) / 2, bottom + 42, label,
                           anchor='middle'))
        for place, (runs, colour) in enumerate(zip(
                series.values(), COLOURS, strict=False)):
            for number, run in enumerate(runs):
                if run:
                    parts += _dots(axis, TOP + 26 + _ROW * number
                                   + 14 * place, run, colour)
    path.write_text('\n'.join([*parts, '</svg>', '']))
