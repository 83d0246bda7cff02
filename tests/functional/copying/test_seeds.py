# SPDX-License-Identifier: Apache-2.0
"""One seed per image and cluster, whoever asks."""

from concurrent import futures
import subprocess
import sys

import rbd

from cinder_tagged.copy import errors
from cinder_tagged.copy import spec
from cinder_tagged.copy import target as target_mod
from cinder_tagged.copy.core import record as record_mod
from cinder_tagged.copy.core.record import State
from tests.functional.copying import base

MiB = base.MiB


class SeedsTest(base.CopyTestCase):

    def setUp(self):
        super().setUp()
        self.second = self.others[0]
        self.target = record_mod.seed_name(self.name)

    def test_made_once_and_used_again(self):
        source = self.image()
        seeds = base.seeds_of(self.second)
        record = seeds.ensure(self.original(source, digest='d1'))
        self.assertEqual(1, record.epoch)
        self.assertEqual(record, seeds.ensure(
            self.original(source, digest='d1')))
        self.assertEqual([self.target], self.ours(self.second))
        self.assertEqual(
            self.digest(self.first, 'images', self.name),
            self.digest(self.second, 'volumes', self.target, 'seed'))
        seeds.used(record)
        self.assertGreater(self.entry(self.second).used, record.began)

    def test_other_data_under_the_same_image_makes_it_anew(self):
        source = self.image()
        seeds = base.seeds_of(self.second)
        seeds.ensure(self.original(source, digest='d1'))
        self.clone(self.second, f'disk-{self.name}')
        record = seeds.ensure(self.original(source, digest='d2'))
        self.assertEqual((2, 'd2'), (record.epoch, record.digest))
        # The disk on the first one lives on; its seed waits in the trash.
        self.assertEqual(
            self.digest(self.first, 'images', self.name),
            self.digest(self.second, 'volumes', f'disk-{self.name}'))
        with self.second.ioctx('volumes') as ioctx:
            self.assertEqual(0, target_mod.empty_trash(ioctx, 'seed-'))
            rbd.RBD().remove(ioctx, f'disk-{self.name}')
            self.assertEqual(1, target_mod.empty_trash(ioctx, 'seed-'))

    def test_a_seed_that_somebody_replaced_is_made_anew(self):
        source = self.image()
        seeds = base.seeds_of(self.second)
        seeds.ensure(self.original(source))
        with self.second.ioctx('volumes') as ioctx:
            target_mod.remove(ioctx, self.target)
            rbd.RBD().create(ioctx, self.target, 64 * MiB)
        record = seeds.ensure(self.original(source))
        self.assertEqual(2, record.epoch)
        self.clone(self.second, f'disk-{self.name}')

    def test_many_at_once_share_one_copy(self):
        source = self.image(size_mib=256, data_mib=64)
        askers = [self._asker(self.second, source) for _ in range(2)]
        seeds = base.seeds_of(self.second)
        with futures.ThreadPoolExecutor(4) as pool:
            records = list(pool.map(
                lambda _: seeds.ensure(self.original(source)), range(4)))
        self.assertEqual(1, len(set(records)))
        self.assertEqual(1, records[0].epoch)
        for asker in askers:
            out, err = asker.communicate(timeout=300)
            self.assertEqual(0, asker.returncode, err)
            self.assertEqual(records[0], record_mod.load(out))

    def _asker(self, cluster, source):
        job = spec.Job('x', base.place(cluster, 'volumes'), 'x',
                       source=source)
        asker = subprocess.Popen(
            [sys.executable, '-m', 'tests.functional.copying.asker',
             str(cluster.directory), self.name, job.dump()],
            env=base.environment(), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(self._end, asker)
        return asker

    def _end(self, asker):
        asker.kill()
        asker.communicate()

    def test_those_who_queued_learn_of_a_failure_at_once(self):
        source = spec.RbdImage(base.place(self.first, 'images'), 'nothing')
        seeds = base.seeds_of(self.second)
        with futures.ThreadPoolExecutor(3) as pool:
            jobs = [pool.submit(seeds.ensure, self.original(source))
                    for _ in range(3)]
        for job in jobs:
            self.assertIsInstance(job.exception(), errors.CopyFailed)
        self.assertEqual([], self.ours(self.second))

    # -- keeping ------------------------------------------------------------

    def test_sweep_drops_the_seed_of_a_gone_image(self):
        seeds = base.seeds_of(self.second)
        seeds.ensure(self.original(self.image()))
        self.clone(self.second, f'disk-{self.name}')
        swept = seeds.sweep(gone=[self.name])
        self.assertEqual((self.target,), swept.kept)
        self.assertEqual(State.READY, self.entry(self.second).record.state)
        with self.second.ioctx('volumes') as ioctx:
            rbd.RBD().remove(ioctx, f'disk-{self.name}')
        self.assertEqual((), seeds.sweep().removed)
        swept = seeds.sweep(gone=[self.name])
        self.assertEqual((self.target,), swept.removed)
        self.assertEqual([], self.ours(self.second))
        self.assertIsNone(self.entry(self.second).record)

    def test_sweep_drops_idle_seeds(self):
        seeds = base.seeds_of(self.second)
        seeds.ensure(self.original(self.image()))
        self.assertEqual((), seeds.sweep(idle_s=3600).removed)
        self.assertEqual((self.target,),
                         seeds.sweep(idle_s=1e-6).removed)

    def test_least_recently_used_seeds_make_room(self):
        seeds = base.seeds_of(self.second, limit=40 * MiB)
        source = self.image(size_mib=16, data_mib=16)
        names = [f'{self.name}-{number}' for number in range(3)]
        made = []
        for name in names:
            made.append(seeds.ensure(base.original(name, source)))
            seeds.used(made[0])
        self.assertEqual(
            [made[0].target, made[2].target],
            sorted(record.target for record, _used in seeds.all()))

    def test_no_room_beside_seeds_in_use(self):
        source = self.image(size_mib=64, data_mib=4)
        seeds = base.seeds_of(self.second, limit=24 * MiB)
        seeds.ensure(self.original(source))
        self.clone(self.second, f'disk-{self.name}')
        small = base.seeds_of(self.second, limit=8 * MiB)
        self.assertRaises(errors.NoRoom, small.ensure, self.original(
            source, image=f'{self.name}-other'))
        self.assertEqual([f'disk-{self.name}', f'seed-{self.name}'],
                         self.ours(self.second))
