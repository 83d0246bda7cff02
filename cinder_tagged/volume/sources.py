# SPDX-License-Identifier: Apache-2.0
"""Which other clusters this service can reach, by fsid."""

from collections.abc import Iterator
import logging
import threading
from typing import Any

from cinder.volume import configuration as cinder_configuration
from cinder.volume.drivers import rbd as cinder_rbd
from oslo_config import cfg

from cinder_tagged.ceph import connection
from cinder_tagged.ceph import errors

CONF = cfg.CONF
LOG = logging.getLogger(__name__)


class KnownClusters:
    """The clusters of all backends in the file, and of ``copy_sources``.

    :param timeouts: for connections to them
    """

    def __init__(self, configuration: Any,
                 timeouts: connection.Timeouts) -> None:
        self._configuration = configuration
        self._timeouts = timeouts
        self._lock = threading.Lock()
        self._found: dict[str, connection.Identity] = {}

    def find(self, fsid: str) -> connection.Identity | None:
        """Return whom to connect to for a cluster, or None.

        What a ceph.conf says about its fsid is believed; only a file that
        does not say has its cluster asked.
        """
        with self._lock:
            if fsid not in self._found:
                self._look()
            return self._found.get(fsid)

    def _look(self) -> None:
        for identity in self._candidates():
            if identity in self._found.values():
                continue
            try:
                fsid = (connection.configured_fsid(identity)
                        or self._ask(identity))
            except errors.CephError as exc:
                LOG.warning('No copies from %(who)s: %(exc)s',
                            {'who': identity, 'exc': exc})
                continue
            self._found.setdefault(fsid, identity)

    def _candidates(self) -> Iterator[connection.Identity]:
        for backend in filter(None, CONF.enabled_backends or ()):
            stanza = cinder_configuration.Configuration(
                cinder_rbd.RBD_OPTS, config_group=backend)
            if stanza.rbd_ceph_conf:
                yield self._identity(stanza.rbd_ceph_conf,
                                     stanza.rbd_user,
                                     stanza.rbd_cluster_name)
        for source in self._configuration.copy_sources or ():
            conf, _, user = source.partition(':')
            yield self._identity(conf.strip(), user.strip(), None)

    def _identity(self, conf: str, user: str | None,
                  cluster: str | None) -> connection.Identity:
        return connection.Identity(conf, cluster or 'ceph', user or None,
                                   self._timeouts)

    @staticmethod
    def _ask(identity: connection.Identity) -> str:
        client = connection.open_client(identity)
        try:
            return str(client.get_fsid())
        finally:
            client.shutdown()
