# SPDX-License-Identifier: Apache-2.0
"""A volume as a file to read, for uploads to the image service.

Cinder's RBD driver has os-brick open it over a connection that may wait for
ever, made from a configuration file written for the purpose. This one lies
on a kept connection, with its limits.
"""

from typing import Any

from cinder.volume.drivers import rbd as cinder_rbd
from os_brick.initiator import linuxrbd


class _Image:
    """An open image that gives its connection back when it is closed."""

    def __init__(self, proxy: cinder_rbd.RBDVolumeProxy) -> None:
        self._proxy = proxy

    def __getattr__(self, name: str) -> Any:
        return getattr(self._proxy, name)

    def close(self) -> None:
        self._proxy.__exit__(None, None, None)


def open_file(driver: Any, name: str) -> linuxrbd.RBDVolumeIOWrapper:
    """Open an image as a file; close it after use.

    :param driver: whose cluster and pool the image is in
    :raises VolumeBackendAPIException: the cluster cannot be reached
    :raises rbd.ImageNotFound: there is no such image
    """
    proxy = cinder_rbd.RBDVolumeProxy(driver, name, read_only=True)
    configuration = driver.configuration
    return linuxrbd.RBDVolumeIOWrapper(linuxrbd.RBDImageMetadata(
        _Image(proxy), configuration.rbd_pool, configuration.rbd_user,
        configuration.rbd_ceph_conf))
