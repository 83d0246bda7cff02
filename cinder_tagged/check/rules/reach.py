# SPDX-License-Identifier: Apache-2.0
"""Rules about what clusters answered (``--connect``)."""

from collections.abc import Iterator

from cinder_tagged.check import model
from cinder_tagged.check.model import Finding
from cinder_tagged.check.model import Severity


def find(site: model.Site) -> Iterator[Finding]:
    """Yield what clusters refused, and whether they are the right ones."""
    for reached in site.reached or ():
        view = site.ceph.get(reached.login)
        path = view.file.path if view else reached.login.conf
        if reached.problem:
            yield Finding(
                Severity.ERROR, f'cluster-{reached.step}', path,
                reached.login.entity, reached.pool, reached.problem,
                reached.remedy)
        if view and view.fsid and reached.fsid and (
                view.fsid != reached.fsid):
            yield Finding(
                Severity.ERROR, 'cluster-fsid', path, 'global', 'fsid',
                f'{view.fsid}, but the monitors that it names belong to '
                f'{reached.fsid}',
                'install the ceph.conf of the cluster that is meant')
