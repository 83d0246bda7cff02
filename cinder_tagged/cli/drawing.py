# SPDX-License-Identifier: Apache-2.0
"""Draws a topology as SVG: one file, no script, nothing loaded. Pure.

Tags stand on the left, clusters on the right. A line is as thick as the
part that the cluster holds of all that the tag's clusters hold. Colours
follow the reader's light or dark setting where the viewer knows it; the
picture brings its own background for those that do not.
"""

import textwrap
from xml.sax import saxutils

from cinder_tagged.cli import topology

_WIDTH = 1000
_EDGE = 32
_TOP = 92
_TAG_W, _TAG_H, _TAG_STEP = 210, 34, 44
_GROUP_GAP = 18
_CARD_X, _CARD_W, _CARD_H, _CARD_STEP = 590, 378, 126, 142
_BAR_W = _CARD_W - 36
# Characters of small text in a card, at the widest of the usual fonts.
_LINE = 54
_NAMES = {'medium': 'made of', 'type': 'for whom', 'purpose': 'used for',
          None: 'other tags'}
_ALMOST_FULL, _FULL = 0.7, 0.85

_STYLE = """
text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",
sans-serif;font-size:13px;fill:#1f2937}
.page{fill:#fbfcfe}
.title{font-size:20px;font-weight:600}
.small{font-size:11.5px;fill:#5b6676}
.head{font-size:11px;fill:#5b6676;letter-spacing:.08em}
.name{font-size:15px;font-weight:600}
.word{font-weight:600}
.right{text-anchor:end}
.card{fill:#ffffff;stroke:#d5dbe5;stroke-width:1}
.gone{fill:none;stroke:#98a2b3;stroke-width:1.2;stroke-dasharray:5 4}
.track{fill:#e7ebf2}
.fine{fill:#2f9e6e}.much{fill:#d9902f}.full{fill:#d64545}
.pill{stroke-width:1.2}
.pill.medium{fill:#e3effc;stroke:#3b82c4}
.pill.type{fill:#e4f5ec;stroke:#2f9e6e}
.pill.purpose{fill:#fbeee0;stroke:#c9802b}
.pill.other{fill:#efe9fa;stroke:#7e61c2}
.line{fill:none;stroke-opacity:.5}
.line.medium{stroke:#3b82c4}.line.type{stroke:#2f9e6e}
.line.purpose{stroke:#c9802b}.line.other{stroke:#7e61c2}
.line.off{stroke:#98a2b3;stroke-dasharray:4 5}
.ok{fill:#2f9e6e}.bad{fill:#d64545}
@media (prefers-color-scheme:dark){
text{fill:#e6eaf0}.page{fill:#12161d}.small,.head{fill:#9aa6b8}
.card{fill:#1a2029;stroke:#333d4c}.track{fill:#2b3442}
.pill.medium{fill:#16304a}.pill.type{fill:#14372a}
.pill.purpose{fill:#3f2c14}.pill.other{fill:#2d2347}
.line{stroke-opacity:.65}
}
"""


def svg(drawn: topology.Topology, title: str) -> str:
    """Return the picture as text of an SVG file."""
    tags, tag_y = _place_tags(drawn)
    rows = len(drawn.clusters) + len(drawn.silent)
    left = max(tag_y.values(), default=_TOP) + _TAG_H
    right = _TOP + max(rows, 1) * _CARD_STEP - (_CARD_STEP - _CARD_H)
    height = max(left, right) + 64
    shift_left = max(0, (right - left) // 2)
    shift_right = max(0, (left - right) // 2)
    tag_y = {word: y + shift_left for word, y in tag_y.items()}
    card_y = {cluster.key: _TOP + shift_right + place * _CARD_STEP
              for place, cluster in enumerate(drawn.clusters)}
    silent_y = _TOP + shift_right + len(drawn.clusters) * _CARD_STEP
    return '\n'.join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" '
        f'height="{height}" viewBox="0 0 {_WIDTH} {height}" role="img">',
        _element('title', title),
        _element('desc', _description(drawn)),
        f'<style>{_STYLE}</style>',
        f'<rect class="page" width="{_WIDTH}" height="{height}" rx="10"/>',
        _text(_EDGE, 44, title, 'title'),
        _text(_EDGE, 66, _summary(drawn), 'small'),
        '<g id="links">', *_lines(drawn, tag_y, card_y), '</g>',
        f'<g id="tags" transform="translate(0 {shift_left})">', *tags,
        '</g>', '<g id="clusters">',
        *(_card(drawn, cluster, card_y[cluster.key])
          for cluster in drawn.clusters), '</g>',
        *(_silent(silent.backend, silent.reason, silent_y + i * _CARD_STEP)
          for i, silent in enumerate(drawn.silent)),
        _text(_EDGE, height - 24, 'thickness of a line: the part that the '
              'cluster holds of all that the clusters of the tag hold; '
              'broken: down; due: what its weight entitles it to', 'small'),
        '</svg>', ''])


def _place_tags(drawn: topology.Topology,
                ) -> tuple[list[str], dict[str, int]]:
    """Return the tags as elements, and where each begins."""
    elements: list[str] = []
    place: dict[str, int] = {}
    y = _TOP
    before: str | None = ''
    for tag in drawn.tags:
        if tag.kind != before:
            y += _GROUP_GAP if elements else 0
            elements.append(_text(_EDGE, y + 10, _NAMES[tag.kind].upper(),
                                  'head'))
            y += 20
            before = tag.kind
        place[tag.word] = y
        elements.append(_pill(tag, y))
        y += _TAG_STEP
    return elements, place


def _pill(tag: topology.Tag, y: int) -> str:
    state = '' if tag.state == 'served' else tag.state
    tip = f'{tag.kind or "tag"}: {tag.word}, {tag.state}'
    return (f'<g class="tag" data-tag={_quoted(tag.word)}>'
            f'{_element("title", tip)}'
            f'<rect class="pill {_class(tag.kind)}" x="{_EDGE}" y="{y}" '
            f'width="{_TAG_W}" height="{_TAG_H}" rx="{_TAG_H // 2}"/>'
            f'{_text(_EDGE + 18, y + 22, _cut(tag.word, 18), "word")}'
            f'{_text(_EDGE + _TAG_W - 16, y + 22, state, "small right")}'
            '</g>')


def _lines(drawn: topology.Topology, tag_y: dict[str, int],
           card_y: dict[topology.Key, int]) -> list[str]:
    kinds = {tag.word: tag.kind for tag in drawn.tags}
    leaving: dict[str, int] = {}
    arriving: dict[topology.Key, int] = {}
    count_tag = {tag.word: sum(link.word == tag.word for link in drawn.links)
                 for tag in drawn.tags}
    order = {cluster.key: i for i, cluster in enumerate(drawn.clusters)}
    lines = []
    for link in sorted(drawn.links, key=lambda k: order[k.key]):
        # Along both ends in the order of the other side: no needless knots.
        leaving[link.word] = leaving.get(link.word, 0) + 1
        out = _TAG_H * leaving[link.word] / (count_tag[link.word] + 1)
        arriving[link.key] = arriving.get(link.key, 0) + 1
        into = _CARD_H * arriving[link.key] / (_arrivals(drawn, link) + 1)
        lines.append(_line(
            drawn, link, _class(kinds[link.word]),
            tag_y[link.word] + out, card_y[link.key] + into))
    return lines


def _arrivals(drawn: topology.Topology, link: topology.Link) -> int:
    return sum(other.key == link.key for other in drawn.links)


def _line(drawn: topology.Topology, link: topology.Link, kind: str,
          y1: float, y2: float) -> str:
    x1, x2 = _EDGE + _TAG_W, _CARD_X
    middle = (x1 + x2) / 2
    name = next(c.name for c in drawn.clusters if c.key == link.key)
    if link.share is None:
        tip, width, style = f'{link.word} on {name}: down', 1.5, 'off'
    else:
        tip = (f'{link.word}: {name} holds {link.share:.1%}, '
               f'entitled to {link.target or 0:.1%}')
        width, style = 1.5 + 9 * link.share, kind
    return (f'<path class="line {style}" stroke-width="{width:.2f}" '
            f'd="M{x1} {y1:.1f}C{middle} {y1:.1f} {middle} {y2:.1f} '
            f'{x2} {y2:.1f}">{_element("title", tip)}</path>')


def _card(drawn: topology.Topology, cluster: topology.Cluster,
          y: int) -> str:
    x = _CARD_X + 18
    right = _CARD_X + _CARD_W - 18
    status = 'bad' if cluster.reason else 'ok'
    hosts = f'{cluster.hosts} hosts, ' if cluster.hosts > 1 else ''
    lines = [
        f'<g class="cluster" data-cluster={_quoted(cluster.name)}>',
        _element('title', f'{cluster.name}: fsid {cluster.key[0] or "?"}, '
                          f'pool {cluster.key[1]}'),
        f'<rect class="{"gone" if cluster.reason else "card"}" '
        f'x="{_CARD_X}" y="{y}" width="{_CARD_W}" height="{_CARD_H}" '
        'rx="9"/>',
        f'<circle class="{status}" cx="{x + 5}" cy="{y + 23}" r="5"/>',
        _text(x + 20, y + 28, _cut(cluster.name, 26), 'name'),
        _text(right, y + 28, f'{hosts}weight {cluster.weight:g}',
              'small right')]
    if cluster.reason:
        lines += _paragraph(x, y + 54, cluster.reason)
    else:
        lines += _filling(cluster, x, right, y)
    lines += [*_paragraph(x, y + 98, _shares(drawn, cluster)), '</g>']
    return ''.join(lines)


def _filling(cluster: topology.Cluster, x: int, right: int,
             y: int) -> list[str]:
    fill = cluster.fill
    lines = [f'<rect class="track" x="{x}" y="{y + 42}" width="{_BAR_W}" '
             'height="10" rx="5"/>']
    if fill is not None:
        level = ('full' if fill >= _FULL else
                 'much' if fill >= _ALMOST_FULL else 'fine')
        lines.append(
            f'<rect class="{level}" x="{x}" y="{y + 42}" '
            f'width="{max(fill * _BAR_W, 10 if fill else 0):.1f}" '
            'height="10" rx="5"/>')
        lines.append(_text(
            x, y + 74, f'{_gib(cluster.used_gb)} of '
            f'{_gib(cluster.total_gb)} used, {fill:.0%}', ''))
    else:
        lines.append(_text(x, y + 74, 'how full it is, is not known', ''))
    if cluster.provisioned_gb is not None:
        lines.append(_text(right, y + 74,
                           f'{_gib(cluster.provisioned_gb)} provisioned',
                           'small right'))
    return lines


def _shares(drawn: topology.Topology, cluster: topology.Cluster) -> str:
    """Say what it holds of each tag, and what it is entitled to."""
    said = []
    for link in drawn.links_of(cluster):
        if link.share is None or not drawn.shared(link):
            said.append(link.word)
        else:
            said.append(f'{link.word}\u00a0{link.share:.0%}\u00a0(due\u00a0'
                        f'{link.target or 0:.0%})')
    return ' · '.join(said)


def _silent(backend: str, reason: str, y: int) -> str:
    return (f'<g class="silent"><rect class="gone" x="{_CARD_X}" y="{y}" '
            f'width="{_CARD_W}" height="{_CARD_H}" rx="9"/>'
            f'<circle class="bad" cx="{_CARD_X + 23}" cy="{y + 23}" r="5"/>'
            f'{_text(_CARD_X + 38, y + 28, _cut(backend, 34), "name")}'
            f'{"".join(_paragraph(_CARD_X + 18, y + 60, reason))}'
            f'{_element("title", reason)}</g>')


def _summary(drawn: topology.Topology) -> str:
    down = sum(bool(c.reason) for c in drawn.clusters) + len(drawn.silent)
    total = sum(c.total_gb or 0 for c in drawn.clusters)
    used = sum(c.used_gb or 0 for c in drawn.clusters)
    parts = [_count(len(drawn.clusters) + len(drawn.silent), 'cluster'),
             _count(len(drawn.tags), 'tag'),
             f'{_gib(used)} of {_gib(total)} used']
    if down:
        parts.append(f'{down} down')
    return ' · '.join(parts)


def _description(drawn: topology.Topology) -> str:
    said = [f'{c.name}: {c.reason or "up"}; {_shares(drawn, c)}'
            for c in drawn.clusters]
    return '. '.join([_summary(drawn), *said])


def _count(number: int, what: str) -> str:
    return f'{number} {what}{"" if number == 1 else "s"}'


def _gib(gib: float | None) -> str:
    if gib is None:
        return '?'
    for unit in ('GiB', 'TiB', 'PiB'):
        if gib < 1000 or unit == 'PiB':
            break
        gib /= 1024
    return f'{gib:.1f} {unit}' if gib < 100 else f'{gib:.0f} {unit}'


def _class(kind: str | None) -> str:
    return kind or 'other'


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f'{text[:length - 1]}…'


def _quoted(text: str) -> str:
    return saxutils.quoteattr(text)


def _paragraph(x: int, y: int, text: str) -> list[str]:
    """Set small text in two lines; what is longer is cut."""
    lines = textwrap.wrap(text, _LINE, max_lines=2, placeholder=' …',
                          break_on_hyphens=False)
    return [_text(x, y + 17 * place, line, 'small')
            for place, line in enumerate(lines)]


def _element(name: str, text: str) -> str:
    return f'<{name}>{saxutils.escape(text)}</{name}>'


def _text(x: float, y: float, text: str, style: str) -> str:
    return (f'<text x="{x:g}" y="{y:g}" class="{style}">'
            f'{saxutils.escape(text)}</text>') if text else ''
