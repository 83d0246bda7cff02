# SPDX-License-Identifier: Apache-2.0
"""The second-level feature that one stanza of cinder.conf describes."""

from collections.abc import Iterator
import logging
from typing import Any

from cinder.volume import configuration as cinder_configuration
from cinder.volume.drivers import rbd as cinder_rbd
from oslo_config import cfg

from cinder_tagged import exceptions
from cinder_tagged import features
from cinder_tagged.ceph import connection
from cinder_tagged.ceph import errors
from cinder_tagged.volume import options

CONF = cfg.CONF
LOG = logging.getLogger(__name__)

# The volume manager has it registered long before; its module cannot be
# imported without Cinder's objects.
_DRIVER_OPT = cfg.StrOpt('volume_driver')
# Reading a file needs no limit, but an identity has to have one.
_ANY = connection.Timeouts(1, 1, 1)


def name(configuration: Any) -> str:
    """Return the name of the stanza."""
    return str(configuration.config_group)


def read(configuration: Any, fsid: str) -> features.SecondLevelFeature:
    """Read a stanza.

    :param fsid: of its cluster; '' if not known yet
    :raises FeatureConfigError: tags or weight cannot be used
    """
    where = f'[{name(configuration)}]'
    return features.SecondLevelFeature(
        backend=name(configuration),
        cluster=features.Cluster(fsid,
                                 configuration.rbd_cluster_name or '',
                                 configuration.rbd_pool or ''),
        tags=features.parse_tags(configuration.feature_tags or [],
                                 where=where),
        weight=features.parse_weight(configuration.feature_weight,
                                     where=where))


def check_against_others(own: features.SecondLevelFeature,
                         configuration: Any, driver: str) -> None:
    """Refuse a stanza that contradicts an earlier one of the same file.

    Only the later of two is refused, so that one mistake does not take both
    out of service. Earlier stanzas that cannot be read are passed over:
    their own services say so.

    :param own: the stanza's feature
    :param driver: ``volume_driver`` of the stanzas to compare with
    :raises FeatureConfigError: the same fsid and pool as an earlier stanza,
        or one tag under two kinds
    """
    for other in _earlier(name(configuration), driver):
        try:
            before = read(other, _fsid_of(other, configuration, own))
        except (exceptions.FeatureConfigError, errors.CephError) as exc:
            LOG.debug('Not compared with [%s]: %s', name(other), exc)
            continue
        features.check_stanzas([before, own])


def _earlier(own: str, driver: str) -> Iterator[Any]:
    """Yield the configuration of each stanza enabled before our own."""
    for backend in filter(None, CONF.enabled_backends or ()):
        if backend == own:
            return
        other = cinder_configuration.Configuration(
            [_DRIVER_OPT, *cinder_rbd.RBD_OPTS, *options.TAGGED_OPTS],
            config_group=backend)
        if other.volume_driver == driver:
            yield other


def _fsid_of(other: Any, configuration: Any,
             own: features.SecondLevelFeature) -> str:
    """Learn the fsid of another stanza's cluster without asking it."""
    def file_of(stanza: Any) -> tuple[str, str]:
        return stanza.rbd_ceph_conf or '', stanza.rbd_cluster_name or ''

    if file_of(other) == file_of(configuration):
        return own.cluster.fsid
    conf, cluster = file_of(other)
    return connection.configured_fsid(
        connection.Identity(conf, cluster, other.rbd_user, _ANY))
