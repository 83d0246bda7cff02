# SPDX-License-Identifier: Apache-2.0

import pathlib
import threading

from cinder import rpc
import fixtures
from oslo_config import cfg
import oslo_messaging as messaging
from oslotest import base

from cinder_tagged.volume import announce

WAIT = 30


class Manager:
    """Stands where cinder-volume's manager does; the bus is real."""

    target = messaging.Target(version='3.20')

    def __init__(self):
        self.published = threading.Semaphore(0)

    def publish_service_capabilities(self, context):
        self.published.release()


class PublishTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        conf = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'conf')
        conf.write_text('[DEFAULT]\ntransport_url = fake:/\n')
        cfg.CONF([], project='cinder', default_config_files=[str(conf)],
                 default_config_dirs=[])
        self.addCleanup(cfg.CONF.reset)

    def serve(self, host, backend):
        manager = Manager()
        # As cinder.rpc makes it, but on threads, with any release.
        server = messaging.get_rpc_server(
            rpc.TRANSPORT,
            messaging.Target(topic=f'cinder-volume.{host}@{backend}',
                             server=host), [manager], executor='threading',
            access_policy=messaging.DefaultRPCAccessPolicy)
        server.start()
        self.addCleanup(server.wait)
        self.addCleanup(server.stop)
        return manager

    def test_only_our_own_service_is_asked(self):
        rpc.init(cfg.CONF)
        self.addCleanup(rpc.cleanup)
        ours = self.serve('node1', 'east')
        others = [self.serve('node1', 'west'), self.serve('node2', 'east')]
        self.assertTrue(announce.publish('node1@east'))
        self.assertTrue(ours.published.acquire(timeout=WAIT))
        self.assertTrue(announce.publish('node1@east'))
        self.assertTrue(ours.published.acquire(timeout=WAIT))
        for other in others:
            self.assertFalse(other.published.acquire(blocking=False))

    def test_no_bus(self):
        self.assertFalse(announce.publish('node1@east'))
