# SPDX-License-Identifier: Apache-2.0
"""This tree's code in the machines, compiled: they are slow at it."""

import importlib.util
import io
from pathlib import Path
import py_compile
import tarfile
import tempfile

from devstack.fence_lab import image
from devstack.fence_lab.machine import Machine

REPOSITORY = Path(__file__).resolve().parents[2]
PLACE = '/lab/code'


def archive(*patterns: str) -> bytes:
    """Return a tar of the modules that match, and of their packages.

    :param patterns: of files below the package ``cinder_tagged``
    """
    root = REPOSITORY / 'cinder_tagged'
    sources = {path for pattern in patterns for path in root.glob(pattern)}
    for source in list(sources):
        sources |= {package / '__init__.py' for package in source.parents
                    if package.is_relative_to(root)}
    buffer = io.BytesIO()
    with tempfile.TemporaryDirectory() as scratch, \
            tarfile.open(fileobj=buffer, mode='w') as tar:
        for source in sorted(sources):
            inside = source.relative_to(REPOSITORY)
            tar.add(source, str(inside))
            cached = importlib.util.cache_from_source(str(inside))
            compiled = py_compile.compile(
                str(source), cfile=f'{scratch}/compiled.pyc', doraise=True,
                dfile=f'{PLACE}/{inside}',
                invalidation_mode=image.UNCHECKED)
            tar.add(str(compiled), cached)
    return buffer.getvalue()


def unpack(node: Machine, content: bytes) -> None:
    """Put the code where PYTHONPATH of the machines leads."""
    node.put('/tmp/code.tar', content)
    node.sh(f'mkdir -p {PLACE} && tar -C {PLACE} -xf /tmp/code.tar',
            deadline=200)
