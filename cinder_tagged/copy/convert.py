# SPDX-License-Identifier: Apache-2.0
"""Turning a qcow2 image in RBD into raw data in RBD, without a file.

``qemu-img`` reads the one image and writes the other. It never follows a
reference out of the image: the header is checked first, and a backing
file is switched off.
"""

from collections.abc import Callable
import json
import logging
import os
import re
import selectors
import shutil
import subprocess
import time
from typing import Any

from cinder_tagged.copy import errors
from cinder_tagged.copy import spec
from cinder_tagged.copy.core.progress import Progress

LOG = logging.getLogger(__name__)

_HEAD = 65536
_PERCENT = re.compile(rb'\((\d+(?:\.\d+)?)/100%\)')


def virtual_size(image: Any) -> int:
    """Return the virtual size of the qcow2 that an open image holds.

    :raises UnsafeImage: no qcow2, or it refers to other files
    """
    # It takes a while to import, and only conversions need it.
    from oslo_utils.imageutils import format_inspector
    inspector = format_inspector.QcowInspector()
    inspector.eat_chunk(image.read(0, min(_HEAD, image.size())))
    if not inspector.format_match:
        raise errors.UnsafeImage(
            'disk_format says qcow2, the data says otherwise')
    try:
        inspector.safety_check()
    except format_inspector.SafetyCheckFailed as exc:
        raise errors.UnsafeImage(f'the qcow2 image is not safe: {exc}'
                                 ) from exc
    return int(inspector.virtual_size)


def _node(where: spec.RbdImage) -> dict[str, str]:
    """Return QEMU's description of an image."""
    identity = where.place.identity
    node = {'driver': 'rbd', 'pool': where.place.pool, 'image': where.image}
    if where.snapshot:
        node['snapshot'] = where.snapshot
    if identity.conf:
        node['conf'] = identity.conf
    if identity.user:
        node['user'] = identity.user
    return node


def command(source: spec.RbdImage, target: spec.RbdImage,
            in_flight: int) -> list[str]:
    """Return the command line; it holds no secrets.

    :param target: exists, and is empty
    """
    qcow2 = {'driver': 'qcow2', 'file': _node(source), 'backing': None}
    # The kernel ends qemu-img with us: it must not write on as an orphan.
    setpriv = shutil.which('setpriv') or 'setpriv'
    return [setpriv, '--pdeathsig', 'KILL', 'qemu-img', 'convert', '-p',
            '-n', '--target-is-zero', '-W', '-m', str(min(16, in_flight)),
            '-O', 'raw', 'json:' + json.dumps(qcow2),
            'json:' + json.dumps({'driver': 'raw', 'file': _node(
                target)})]


def convert(argv: list[str], progress: Progress, stall_s: float,
            cancelled: Callable[[], bool]) -> None:
    """Run qemu-img to its end.

    :param cancelled: asked about once a second
    :raises CopyStalled: it reported no progress for stall_s seconds
    :raises CopyCancelled: cancelled() was true
    :raises CopyFailed: it failed
    """
    with subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, 'LC_ALL': 'C'}) as process:
        try:
            complaint = _follow(process, progress, stall_s, cancelled)
            status = process.wait(timeout=stall_s)
        except BaseException:
            process.kill()
            raise
    if status:
        raise errors.CopyFailed(
            f'qemu-img convert: exit {status}: {complaint[-500:].strip()}')


def _follow(process: 'subprocess.Popen[bytes]', progress: Progress,
            stall_s: float, cancelled: Callable[[], bool]) -> str:
    """Read its output up to the end; return what it complained about."""
    out, err = process.stdout, process.stderr
    if out is None or err is None:
        raise ValueError('its output is not piped')
    complaint = b''
    moved = time.monotonic()
    with selectors.DefaultSelector() as selector:
        selector.register(out, selectors.EVENT_READ)
        selector.register(err, selectors.EVENT_READ)
        while selector.get_map():
            for key, _mask in selector.select(timeout=1.0):
                data = os.read(key.fd, 65536)
                if not data:
                    selector.unregister(key.fileobj)
                elif key.fileobj is err:
                    complaint += data
                else:
                    done = _done(data, progress.total)
                    if done > progress.done:
                        progress.add(done - progress.done, 0)
                        moved = time.monotonic()
            if cancelled():
                raise errors.CopyCancelled('cancelled')
            if time.monotonic() - moved > stall_s:
                raise errors.CopyStalled(
                    f'qemu-img convert: no progress for {stall_s:g} s')
    return complaint.decode(errors='replace')


def _done(output: bytes, total: int) -> int:
    found = _PERCENT.findall(output)
    return int(float(found[-1]) * total / 100) if found else 0
