# SPDX-License-Identifier: Apache-2.0
"""Uploads of an image: the tagged store beside Glance's own stores.

One Glance, one Ceph cluster, one client. In each run the same file goes to
the tagged store, to the stock RBD store and to the stock Cinder store, over
HTTP, from the first byte of the request to the answer. The file is in
memory; so is the cluster if there is room. A run in which other processes had
more than a tenth of the machine is taken again, whichever store it was for.
Needs root, for a private /etc/ceph.
"""

import argparse
from collections.abc import Iterator
import contextlib
import http.client
import os
from pathlib import Path
import secrets
import shutil
import socket
import tempfile
import time
from typing import Any
from urllib import parse

from benchmarks import machine
from benchmarks import report
from devstack.sandbox.sandbox import Sandbox
from devstack.sandbox.settings import Backend
from devstack.sandbox.settings import Settings

MIB = 1024 ** 2
MEMORY = Path('/dev/shm')
ROOM = 8 * 1024 ** 3
OURS = 'featured'
CLUSTER = 'ceph-a'
STOCK_CINDER = 'plain-cinder'
#: Name of the peer by its store.
PEERS = {CLUSTER: 'stock rbd store', STOCK_CINDER: 'stock cinder store'}
DEADLINE_S = 900
#: A run is taken again if others had more of the machine than this, but not
#: more often than that.
DISTURBED = 0.1
AGAIN = 4


@contextlib.contextmanager
def running(directory: Path) -> Iterator[Sandbox]:
    """Run a sandbox whose Glance has all three stores."""
    state = directory / f'ct-{secrets.token_hex(3)}'
    settings = Settings(
        state, backends=(Backend(CLUSTER, 'ssd'),),
        parts=frozenset({'image'}))
    with Sandbox.start(settings, _say) as sandbox:
        _add_stock_cinder(sandbox)
        yield sandbox


def _say(name: str, seconds: float) -> None:
    print(f'  sandbox: {name} ({seconds:.1f} s)', flush=True)


def _glance(sandbox: Sandbox) -> Any:
    (found,) = [part for part in sandbox.parts if part.name == 'glance']
    return found


def _add_stock_cinder(sandbox: Sandbox) -> None:
    """Give Glance the stock Cinder store, and start it again."""
    glance = _glance(sandbox)
    login = sandbox.keystone.credentials('glance')
    conf = sandbox.layout.state / 'glance' / 'glance-api.conf'
    helper = (f'{sandbox.layout.program("privsep-helper")} '
              f'--config-file {conf}')
    text = conf.read_text()
    # Its RBD store leaves holes only where it is told so; ours always.
    text = text.replace('enabled_backends = ',
                        f'enabled_backends = {STOCK_CINDER}:cinder, ')
    text += f"""
[{STOCK_CINDER}]
cinder_store_auth_address = {login['auth_url']}
cinder_store_user_name = {login['username']}
cinder_store_password = {login['password']}
cinder_store_project_name = {login['project_name']}
cinder_store_user_domain_name = Default
cinder_store_project_domain_name = Default
cinder_catalog_info = block-storage::publicURL
cinder_os_region_name = RegionOne
cinder_mount_point_base = {sandbox.layout.directory('glance', 'mnt')}
cinder_state_transition_timeout = 300

[glance_store]
default_backend = {CLUSTER}

[privsep_osbrick]
helper_command = {helper}
"""
    conf.write_text(text)
    for service in glance.services:
        service.stop()
        service.argv = [*_with_keyring(sandbox), *service.argv]
    glance.start()


def _with_keyring(sandbox: Sandbox) -> list[str]:
    """Return what starts a command that finds the key of Cinder's user.

    os-brick looks for it in /etc/ceph, under the cluster's name, and nowhere
    else. The command gets an /etc/ceph of its own.
    """
    private = sandbox.layout.directory('etc-ceph')
    keyring = private / f'{CLUSTER}.client.cinder.keyring'
    shutil.copy(sandbox.clusters[CLUSTER].directory
                / 'client.cinder.keyring', keyring)
    return ['unshare', '--mount', 'sh', '-c',
            'mount --make-rprivate / && mount --bind "$0" /etc/ceph && '
            'exec "$@"', str(private)]


def upload(cloud: Any, store: str, file: Path) -> float:
    """Upload a file; return the seconds it took.

    :raises RuntimeError: it failed
    """
    made = cloud.image.post('/images', json={
        'name': f'bench-{store}', 'disk_format': 'raw',
        'container_format': 'bare'}).json()
    endpoint = parse.urlsplit(cloud.image.get_endpoint())
    token = cloud.auth_token
    try:
        with socket.create_connection((endpoint.hostname, endpoint.port),
                                      timeout=DEADLINE_S) as client, \
                file.open('rb') as data:
            began = time.perf_counter()
            client.sendall((
                f'PUT /v2/images/{made["id"]}/file HTTP/1.1\r\n'
                f'Host: {endpoint.netloc}\r\nX-Auth-Token: {token}\r\n'
                f'X-Image-Meta-Store: {store}\r\n'
                'Content-Type: application/octet-stream\r\n'
                f'Content-Length: {file.stat().st_size}\r\n\r\n').encode())
            client.sendfile(data)  # costs the client next to nothing
            answer = http.client.HTTPResponse(client, method='PUT')
            answer.begin()
            took = time.perf_counter() - began
            if answer.status != 204:
                raise RuntimeError(
                    f'{store}: {answer.status} {answer.read()[:2000]!r}')
            return took
    except OSError as error:
        raise RuntimeError(f'{store}: the upload broke off') from error
    finally:
        cloud.image.delete(f'/images/{made["id"]}')
        _wait_gone(cloud, made['id'])


def _wait_gone(cloud: Any, ident: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while (cloud.image.get(f'/images/{ident}').status_code != 404
           and time.monotonic() < deadline):
        time.sleep(0.2)


def working(sandbox: Sandbox, file: Path) -> list[str]:
    """Upload once to each store; return ours and the peers that can."""
    cloud, stores = sandbox.connect(), [OURS]
    upload(cloud, OURS, file)
    for store, peer in PEERS.items():
        try:
            upload(cloud, store, file)
            stores.append(store)
        except RuntimeError as error:
            print(f'  left out: {peer}, which failed: {error}\n'
                  f'{_glance(sandbox).services[0].tail()}', flush=True)
    return stores


def measure(sandbox: Sandbox, cloud: Any, stores: list[str], file: Path,
            runs: int) -> dict[str, list[float]]:
    """Upload a file to all stores by turns; say where the CPU time went."""
    took: dict[str, list[float]] = {store: [] for store in stores}
    for run in range(runs):
        for store in stores if run % 2 else reversed(stores):
            for _attempt in range(AGAIN):
                seconds, disturbed = observed(sandbox, cloud, store, file)
                if disturbed < DISTURBED:
                    break
            took[store].append(seconds)
    return took


def observed(sandbox: Sandbox, cloud: Any, store: str,
             file: Path) -> tuple[float, float]:
    """Upload; return the seconds, and the share that others had."""
    before, watch = cpu_seconds(sandbox), machine.Watch()
    seconds = upload(cloud, store, file)
    disturbed = watch.disturbed()
    spent = ', '.join(
        f'{name} {now - before[name]:.1f}' for name, now
        in cpu_seconds(sandbox).items() if now - before[name] > 0.2)
    print(f'    {store}: {seconds:.2f} s; CPU, with removal: {spent}; '
          f'others had {disturbed:.0%} of the machine', flush=True)
    return seconds, disturbed


def cpu_seconds(sandbox: Sandbox) -> dict[str, float]:
    """Return the CPU time of each service so far."""
    ticks = os.sysconf('SC_CLK_TCK')
    found = {}
    for service in sandbox.services:
        if pid := service.pid:
            stat = Path(f'/proc/{pid}/stat').read_text()
            user, system = stat.rpartition(')')[2].split()[11:13]
            found[service.name] = (int(user) + int(system)) / ticks
    return found


def write_file(path: Path, size: int, data: int) -> None:
    """Make a file with random data, spread, and zeros between."""
    piece, step = 4 * MIB, 4 * MIB * size // data
    with path.open('wb') as file:
        for begin in range(0, size, step):
            file.seek(begin)
            file.write(os.urandom(min(piece, size - begin)))
        file.truncate(size)


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--runs', type=int, default=5)
    parser.add_argument('--mib', type=int, default=1024)
    parser.add_argument('--case', action='append',
                        choices=('all data', 'half zeros', 'sparse'),
                        help='measure only this (may be repeated)')
    parser.add_argument('--add', action='store_true',
                        help='add the runs to those in results/uploads.json')
    arguments = parser.parse_args()
    base = Path(tempfile.gettempdir())
    if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM:
        base = MEMORY
    cases = []
    with tempfile.TemporaryDirectory(dir=base) as directory, \
            running(base) as sandbox:
        cloud, file = sandbox.connect(), Path(directory, 'image')
        write_file(file, 64 * MIB, 64 * MIB)
        stores = working(sandbox, file)
        for share, name in ((1, 'all data'), (2, 'half zeros'),
                            (16, 'sparse, a sixteenth data')):
            if arguments.case and name.split(',')[0] not in arguments.case:
                continue
            write_file(file, arguments.mib * MIB,
                       arguments.mib * MIB // share)
            case = f'upload {arguments.mib} MiB, {name}'
            print(f'  {case}', flush=True)
            took = measure(sandbox, cloud, stores, file,
                           arguments.runs)
            cases += [report.Case(case, took[OURS], took[store],
                                  PEERS[store]) for store in stores[1:]]
            # What there is counts, also if the next case breaks off.
            report.report('uploads', 's', report.merged(
                'uploads', cases, arguments.add))


if __name__ == '__main__':
    main()
