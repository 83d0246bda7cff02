# SPDX-License-Identifier: Apache-2.0
"""What the options mean, and the checks that stop a bad configuration."""

from collections.abc import Iterable
from collections.abc import Iterator
import dataclasses
import ipaddress
import shlex
from typing import Any

from cinder_tagged.ha import options
from cinder_tagged.ha.adapters import datagrams
from cinder_tagged.ha.core import state as st
from cinder_tagged.ha.core import timing as timings
from cinder_tagged.ha.platform import options as platform


class BadConfig(Exception):
    """The configuration cannot work; the text names option and remedy."""


def timing(conf: Any) -> timings.Timing:
    """The profile with what [ha_timing] changes."""
    changes = {opt.dest: conf.ha_timing[opt.dest]
               for opt in options.TIMING_OPTS
               if conf.ha_timing[opt.dest] is not None}
    return dataclasses.replace(timings.PROFILES[conf.ha.profile], **changes)


def members(texts: Iterable[str]) -> dict[str, st.Member]:
    """Parse [ha] members; :raises BadConfig: naming the wrong one."""
    found: dict[str, st.Member] = {}
    for text in texts:
        name, _, rest = text.partition('=')
        parts = rest.split(';')
        try:
            address = str(ipaddress.ip_address(parts[0]))
            priority = int(parts[2]) if len(parts) > 2 else 0
        except ValueError as exc:
            raise BadConfig(f'[ha] members: {text!r}: {exc}; write '
                            'NAME=IP;RACK;PRIORITY') from exc
        if not name or name in found:
            raise BadConfig(f'[ha] members: {text!r}: the name is empty or '
                            'given twice; each node has one entry')
        found[name] = st.Member(
            name, address, parts[1] if len(parts) > 1 else '', priority)
    return found


def addresses(conf: Any, role: str) -> tuple[Any, ...]:
    """The role's addresses; :raises BadConfig: naming the wrong one."""
    group = f'ha_role_{role}'
    texts = conf[group].addresses
    if not texts:
        raise BadConfig(f'[{group}] addresses is empty: give the access '
                        'address, like 10.0.0.100/24')
    try:
        found = tuple(ipaddress.ip_interface(text) for text in texts)
    except ValueError as exc:
        raise BadConfig(f'[{group}] addresses: {exc}; write it like '
                        '10.0.0.100/24') from exc
    if len({a.version for a in found}) < len(found):
        raise BadConfig(f'[{group}] addresses has two of one family: give '
                        'one IPv4, one IPv6 or one of each')
    return found


def problems(conf: Any) -> Iterator[str]:
    """Yield what is wrong, one sentence each, with its remedy."""
    for text in timings.problems(timing(conf)):
        yield f'[ha_timing] {text}'
    try:
        nodes = members(conf.ha.members)
    except BadConfig as exc:
        yield str(exc)
        nodes = {}
    if nodes and conf.ha.node not in nodes:
        yield (f'[ha] node = {conf.ha.node} is not among [ha] members '
               f'({", ".join(nodes)}): set node, or add it there')
    if not conf.ha.members:
        yield '[ha] members is empty: list every node as NAME=IP'
    try:
        read_keys(conf)
    except BadConfig as exc:
        yield str(exc)
    for url in conf.ha_etcd.endpoints:
        if not url.startswith(('http://', 'https://')):
            yield (f'[ha_etcd] endpoints: {url} is no URL: write '
                   'https://HOST:2379')
    yield from _role_problems(conf)


def _role_problems(conf: Any) -> Iterator[str]:
    seen: dict[str, str] = {}
    for role in conf.ha.roles:
        group = f'ha_role_{role}'
        if not role.replace('_', '').isalnum():
            yield (f'[ha] roles: {role!r} has other characters than '
                   'letters, digits and _')
        try:
            for address in addresses(conf, role):
                other = seen.setdefault(str(address.ip), role)
                if other != role:
                    yield (f'[{group}] addresses: {address.ip} is also that '
                           f'of {other}: each role needs its own')
        except BadConfig as exc:
            yield str(exc)
        if not conf[group].interface:
            yield f'[{group}] interface is not set: name the NIC'
        try:
            shlex.split(conf[group].on_peer_death)
        except ValueError as exc:
            yield (f'[{group}] on_peer_death = {conf[group].on_peer_death}: '
                   f'{exc}; close the quotation')
        for name in conf[group].resources:
            if conf[f'ha_resource_{name}'].type == 'platform':
                yield from platform.problems(conf, name)
        for pair in conf[group].dropins:
            if '=' not in pair:
                yield (f'[{group}] dropins: {pair!r} is not '
                       'TEMPLATE=DESTINATION')


def read_keys(conf: Any) -> list[bytes]:
    """Read [ha] peer_key_file; :raises BadConfig: with a remedy."""
    path = conf.ha.peer_key_file
    try:
        with open(path) as source:
            return datagrams.read_keys(source.read())
    except OSError as exc:
        raise BadConfig(f'[ha] peer_key_file = {path}: {exc.strerror}; '
                        'make it by "openssl rand -hex 32", mode 0600, the '
                        'same on every node') from exc
    except ValueError as exc:
        raise BadConfig(f'[ha] peer_key_file = {path}: {exc}') from exc
