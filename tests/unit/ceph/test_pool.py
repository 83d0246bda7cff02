# SPDX-License-Identifier: Apache-2.0
"""The pool's own rules, with a cluster that does as it is told.

tests/functional/test_driver_faults.py has the same against real ones.
"""

from concurrent import futures
import threading

from oslotest import base
import rados

from cinder_tagged.ceph import connection
from cinder_tagged.ceph import errors
from cinder_tagged.ceph import pool as pool_mod

WAIT = 30


def identity(user='cinder'):
    return connection.Identity('/etc/ceph/ceph.conf', 'ceph', user,
                               connection.Timeouts(10, 10, 30))


class FakeIoctx:
    def __init__(self, client):
        self.client = client
        self.closed = False

    def stat(self, name):
        self.client.checks += 1
        if self.client.fault:
            raise self.client.fault
        return (19, None)

    def close(self):
        self.closed = True


class FakeClient:
    def __init__(self):
        self.fault = None
        self.checks = 0
        self.down = False

    def open_ioctx(self, name):
        if name == 'nowhere':
            raise rados.ObjectNotFound('no such pool', 2)
        return FakeIoctx(self)

    def shutdown(self):
        self.down = True


class Cluster:
    """Counts, delays or refuses what the pool opens."""

    def __init__(self):
        self.opened = []
        self.fault = None
        self.may_open = threading.Event()
        self.may_open.set()
        self.asked = threading.Semaphore(0)

    def open_client(self, who):
        self.asked.release()
        self.may_open.wait(WAIT)
        if self.fault:
            raise self.fault
        self.opened.append(FakeClient())
        return self.opened[-1]


class PoolTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.now = 0.0
        self.cluster = Cluster()
        self.pool = self.make(2)

    def make(self, limit):
        return pool_mod.ConnectionPool(
            limit, check_after_s=1, idle_s=100,
            open_client=self.cluster.open_client, clock=lambda: self.now)

    def test_one_after_the_other_share_one(self):
        for _ in range(5):
            self.pool.release(*self.pool.acquire(identity(), 'volumes'))
        self.assertEqual(1, len(self.cluster.opened))

    def test_at_most_the_limit(self):
        held = [self.pool.acquire(identity(), 'volumes') for _ in range(7)]
        self.assertEqual(2, len(self.cluster.opened))
        self.assertEqual({3, 4}, {
            sum(client is c for c, _ in held) for client in
            self.cluster.opened})

    def test_identities_do_not_mix(self):
        mine, _ = self.pool.acquire(identity('a'), 'volumes')
        other, _ = self.pool.acquire(identity('b'), 'volumes')
        self.assertIsNot(mine, other)

    def test_context_is_closed_when_given_back(self):
        client, ioctx = self.pool.acquire(identity(), 'volumes')
        self.pool.release(client, ioctx)
        self.assertTrue(ioctx.closed)
        self.assertFalse(client.down)

    def test_checked_again_only_after_a_while(self):
        for now, checks in ((0, 1), (0.5, 1), (1.0, 1), (2.1, 2), (2.2, 2)):
            self.now = now
            self.pool.release(*self.pool.acquire(identity(), 'volumes'))
            self.assertEqual(checks, self.cluster.opened[0].checks)

    def test_distrust_checks_at_once(self):
        self.pool.release(*self.pool.acquire(identity(), 'volumes'))
        self.pool.distrust()
        self.pool.release(*self.pool.acquire(identity(), 'volumes'))
        self.assertEqual(2, self.cluster.opened[0].checks)

    def test_fenced_connection_is_replaced(self):
        first, ioctx = self.pool.acquire(identity(), 'volumes')
        self.pool.release(first, ioctx)
        first.fault = rados.ConnectionShutdown('fenced', 108)
        self.now = 5
        second, _ = self.pool.acquire(identity(), 'volumes')
        self.assertIsNot(first, second)
        self.assertTrue(first.down)

    def test_other_answers_prove_life(self):
        client, ioctx = self.pool.acquire(identity(), 'volumes')
        self.pool.release(client, ioctx)
        client.fault = rados.PermissionDeniedError('no', 13)
        self.now = 5
        self.assertIs(client, self.pool.acquire(identity(), 'volumes')[0])

    def test_no_answer_is_told_and_not_tried_again(self):
        client, ioctx = self.pool.acquire(identity(), 'volumes')
        self.pool.release(client, ioctx)
        client.fault = rados.TimedOut('timed out', 110)
        self.now = 5
        self.assertRaises(errors.ClusterUnreachable, self.pool.acquire,
                          identity(), 'volumes')
        self.assertTrue(client.down)
        self.assertEqual(1, len(self.cluster.opened))
        self.assertEqual(0, len(self.pool))

    def test_broken_closes_when_the_last_user_leaves(self):
        pool = self.make(1)
        client, one = pool.acquire(identity(), 'volumes')
        _, two = pool.acquire(identity(), 'volumes')
        pool.release(client, one, broken=True)
        self.assertFalse(client.down)
        fresh, _ = pool.acquire(identity(), 'volumes')
        self.assertIsNot(client, fresh)
        pool.release(client, two)
        self.assertTrue(client.down)

    def test_pool_that_does_not_exist(self):
        error = self.assertRaises(errors.ClusterRefused, self.pool.acquire,
                                  identity(), 'nowhere')
        self.assertEqual('pool', error.subject)
        self.assertEqual(1, len(self.pool))

    def test_failure_reaches_all_who_wait(self):
        self.cluster.may_open.clear()
        self.cluster.fault = errors.ClusterUnreachable('away')
        with futures.ThreadPoolExecutor(4) as workers:
            tries = [workers.submit(self.pool.acquire, identity(), 'volumes')]
            self.assertTrue(self.cluster.asked.acquire(timeout=WAIT))
            tries += [workers.submit(self.pool.acquire, identity(),
                                     'volumes') for _ in range(3)]
            while workers._work_queue.qsize():
                threading.Event().wait(0.01)
            threading.Event().wait(0.2)
            self.cluster.may_open.set()
            found = [type(t.exception(WAIT)) for t in tries]
        self.assertEqual([errors.ClusterUnreachable] * 4, found)

    def test_usable_after_a_failure(self):
        self.cluster.fault = errors.ClusterUnreachable('away')
        self.assertRaises(errors.ClusterUnreachable, self.pool.acquire,
                          identity(), 'volumes')
        self.cluster.fault = None
        self.assertIsNotNone(self.pool.acquire(identity(), 'volumes'))

    def test_sharing_goes_on_while_another_opens(self):
        first, _ = self.pool.acquire(identity(), 'volumes')
        self.cluster.may_open.clear()
        self.assertTrue(self.cluster.asked.acquire(timeout=WAIT))
        with futures.ThreadPoolExecutor(1) as workers:
            second = workers.submit(self.pool.acquire, identity(), 'volumes')
            self.assertTrue(self.cluster.asked.acquire(timeout=WAIT))
            third, _ = self.pool.acquire(identity(), 'volumes')
            self.assertIs(first, third)
            self.cluster.may_open.set()
            self.assertIsNot(first, second.result(WAIT)[0])

    def test_reap_keeps_one_and_what_is_used(self):
        held = [self.pool.acquire(identity(), 'volumes') for _ in range(2)]
        self.pool.release(*held[0])
        self.now = 200
        self.assertEqual(1, self.pool.reap())
        self.pool.release(*held[1])
        self.now = 400
        self.assertEqual(0, self.pool.reap())
        self.assertEqual([True, False],
                         [c.down for c in self.cluster.opened])

    def test_close(self):
        held = [self.pool.acquire(identity(), 'volumes') for _ in range(2)]
        self.pool.release(*held[0])
        self.pool.close()
        self.assertEqual([True, False],
                         [c.down for c in self.cluster.opened])
        self.pool.release(*held[1])
        self.assertTrue(self.cluster.opened[1].down)

    def test_a_connection_of_nobody(self):
        self.assertRaises(ValueError, self.pool.release, FakeClient(),
                          FakeIoctx(None))

    def test_many_threads(self):
        def work(number):
            client, ioctx = self.pool.acquire(identity(), 'volumes')
            self.pool.release(client, ioctx, broken=number % 7 == 0)

        with futures.ThreadPoolExecutor(16) as workers:
            list(workers.map(work, range(400)))
        self.assertLessEqual(len(self.pool), 2)
        live = [c for c in self.cluster.opened if not c.down]
        self.assertEqual(len(self.pool), len(live))
