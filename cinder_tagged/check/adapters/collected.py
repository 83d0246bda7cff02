# SPDX-License-Identifier: Apache-2.0
"""Reads what an operator collected from other hosts, and what is here.

A directory holds one directory for each host, with its ``cinder.conf`` (or
``etc/cinder/cinder.conf``) and, if wanted, what ``pip freeze`` printed there
as ``versions.txt``. A file ``HOST.conf`` will do as well.
"""

from collections.abc import Iterator
from importlib import metadata
import pathlib
import xml.etree.ElementTree as ElementTree

from cinder_tagged.check import model
from cinder_tagged.check.adapters import conf_files

_PLACES = ('cinder.conf', 'etc/cinder/cinder.conf', 'cinder/cinder.conf')
_VERSIONS = ('cinder', 'cinder-tagged')


def hosts(directory: str) -> Iterator[model.Host | tuple[str, str]]:
    """Yield the hosts; a path and a reason for what cannot be read."""
    root = pathlib.Path(directory)
    try:
        entries = sorted(root.iterdir())
    except OSError as exc:
        yield directory, exc.strerror or 'not a directory'
        return
    for entry in entries:
        found = [entry] if entry.suffix == '.conf' and entry.is_file() else [
            entry / place for place in _PLACES if (entry / place).is_file()]
        if not found:
            continue
        try:
            conf = conf_files.read([str(found[0])])
        except conf_files.Unreadable as exc:
            yield str(found[0]), str(exc)
            continue
        yield model.Host(entry.stem if found[0] == entry else entry.name,
                         conf, _versions(entry / 'versions.txt'))


def _versions(path: pathlib.Path) -> dict[str, str]:
    try:
        lines = path.read_text('utf-8').splitlines()
    except (OSError, ValueError):
        return {}
    pairs = (line.split('==', 1) for line in lines if '==' in line)
    return {name.strip().replace('_', '-').lower(): version.strip()
            for name, version in pairs
            if name.strip().replace('_', '-').lower() in _VERSIONS}


def versions_here() -> dict[str, str]:
    """Return the releases installed beside this check."""
    found = {}
    for name in _VERSIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def libvirt_secrets(directory: str) -> frozenset[str] | None:
    """Return the uuids of libvirt's secrets; None if that cannot be told.

    Their values stand in other files, which are not opened.
    """
    try:
        files = [path for path in pathlib.Path(directory).iterdir()
                 if path.suffix == '.xml']
    except OSError:
        return None
    found = set()
    for path in files:
        try:
            # libvirt's own files, below a directory of root's.
            uuid = ElementTree.parse(path).findtext('uuid')  # noqa: S314
        except (OSError, ElementTree.ParseError):
            continue
        found.add((uuid or path.stem).strip().lower())
    return frozenset(found)
