# SPDX-License-Identifier: Apache-2.0

import pathlib

import ddt
import fixtures
from oslotest import base

from cinder_tagged.moves import cloud
from cinder_tagged.moves import errors
from cinder_tagged.moves import model
from cinder_tagged.moves import record as record_mod
from cinder_tagged.moves import runner as runner_mod
from tests.unit.moves import clouds

State = model.State


def plan(count=3):
    return model.Plan('drain old', [
        model.Move(f'v{n}', '', 10, 'n1@old#volumes', 'n1@new#volumes')
        for n in range(count)],
        [model.Left('v9', 'é', 5, 'n1@old#volumes', 'it is in-use')],
        [model.Left('v8', '', 5, 'n1@old#volumes', 'it is error')],
        [model.Share('new', 1.5, 0, 30)])


@ddt.ddt
class RecordTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.path = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path, 'plan')

    def test_comes_back_as_it_was(self):
        before = plan()
        before.moves[0].state = State.FAILED
        record_mod.Record(self.path, before).write()
        self.assertEqual(before, record_mod.Record.read(self.path).plan)
        self.assertEqual([self.path], list(self.path.parent.iterdir()))
        self.assertEqual(0o600, self.path.stat().st_mode & 0o777)
        # A line for each move, for people and their tools.
        self.assertEqual(len(before.moves), self.path.read_text().count(
            '\n  {"volume": "v', 0, self.path.read_text().index('"left"')))

    def test_empty_plan(self):
        before = model.Plan('"quoted"\n', [])
        record_mod.Record(self.path, before).write()
        self.assertEqual(before, record_mod.Record.read(self.path).plan)

    @ddt.data(b'', b'[]', b'{"format": 2}', b'\xff', b'[' * 100000,
              b'{"format": 1, "title": "", "moves": [{"state": "x"}]}',
              b'{"format": 1, "title": "", "moves": [1], "left": []}')
    def test_something_else(self, data):
        self.path.write_bytes(data)
        found = self.assertRaises(errors.MovesError, record_mod.Record.read,
                                  self.path)
        self.assertIn(str(self.path), str(found))
        self.assertIn('name a file that', str(found))

    def test_one_process_at_a_time(self):
        with record_mod.alone(self.path):
            self.assertRaises(errors.MovesError,
                              record_mod.alone(self.path).__enter__)
        with record_mod.alone(self.path):
            pass

    def test_pause_is_seen_by_others(self):
        one, other = (record_mod.Record(self.path, plan()) for _ in range(2))
        one.pause()
        self.assertTrue(other.paused)
        other.unpause()
        self.assertFalse(one.paused)

    def test_place_that_cannot_be_written(self):
        record = record_mod.Record(pathlib.Path('/proc/none/plan'), plan())
        self.assertIn('name another with --file', str(
            self.assertRaises(errors.MovesError, record.write)))


class FakeCinder:
    """Moves each volume when it is looked at for the second time."""

    def __init__(self, count, refused=(), silent=()):
        self.volumes = {f'v{n}': clouds.volume(n, 'old')
                        for n in range(count)}
        self.refused = refused
        self.silent = list(silent)
        self.most = 0
        self.under_way = {}
        self.clustered = {}

    def volume(self, volume_id):
        if self.silent and self.silent.pop():
            raise cloud.Unreachable('Cinder: no answer')
        if volume_id in self.under_way:
            self.under_way[volume_id] -= 1
            if not self.under_way[volume_id]:
                del self.under_way[volume_id]
                self.volumes[volume_id] = clouds.volume(
                    volume_id[1:], 'new', migration='success')
        return self.volumes.get(volume_id)

    def move(self, volume_id, target, clustered):
        if volume_id in self.refused:
            raise cloud.Refused('Cinder refuses: no')
        self.clustered[volume_id] = clustered
        self.under_way[volume_id] = 2
        self.most = max(self.most, len(self.under_way))
        self.volumes[volume_id] = clouds.volume(
            volume_id[1:], 'old', migration='migrating')


class RunnerTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        path = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'plan')
        self.record = record_mod.Record(path, plan(6))
        self.record.write()
        self.said = []

    def run_it(self, cinder, tell=None, **options):
        self.runner = runner_mod.Runner(
            self.record, cinder, frozenset({'n1@new'}), 2,
            tell or (lambda _, event: self.said.append(event)),
            interval_s=0.001, **options)
        return self.runner.run()

    def states(self):
        return [m.state for m in
                record_mod.Record.read(self.record.path).plan.moves]

    def test_all_of_it_two_at_a_time(self):
        cinder = FakeCinder(6)
        self.assertTrue(self.run_it(cinder))
        self.assertEqual([State.MOVED] * 6, self.states())
        self.assertEqual((2, {True}),
                         (cinder.most, set(cinder.clustered.values())))

    def test_refusals_and_silence_do_not_end_it(self):
        cinder = FakeCinder(6, refused=('v1',), silent=[0, 1, 0, 0, 1, 0, 1])
        del cinder.volumes['v2']
        self.assertTrue(self.run_it(cinder))
        self.assertEqual(
            [State.MOVED, State.FAILED, State.GONE] + [State.MOVED] * 3,
            self.states())
        self.assertIn('Cinder: no answer; trying again', self.said)
        self.assertEqual('Cinder refuses: no',
                         self.record.plan.moves[1].why)
        self.record.plan.retry()
        self.assertTrue(self.run_it(FakeCinder(6)))
        self.assertEqual(State.MOVED, self.states()[1])

    def test_killed_before_it_asked(self):
        first = self.record.plan.moves[0]
        first.state, first.began, first.asked = State.MOVING, 1.0, 1
        cinder = FakeCinder(6)
        self.assertTrue(self.run_it(cinder))
        self.assertEqual([State.MOVED] * 6, self.states())
        self.assertEqual(2, self.record.plan.moves[0].asked)

    def test_silence_without_end(self):
        cinder = FakeCinder(6, silent=[1] * 10000)
        found = self.assertRaises(errors.MovesError, self.run_it, cinder,
                                  patience_s=0.01)
        self.assertIn('"moves run" goes on', str(found))

    def test_pause_waits_for_what_is_under_way(self):
        def pause(shown, _):
            if shown.count(State.MOVED):
                self.runner.pausing.set()

        self.assertFalse(self.run_it(FakeCinder(6), pause))
        states = self.states()
        self.assertEqual(0, states.count(State.MOVING))
        self.assertGreater(states.count(State.PLANNED), 0)

    def test_pause_by_file(self):
        self.record.pause()
        self.assertFalse(self.run_it(FakeCinder(6)))
        self.assertEqual([State.PLANNED] * 6, self.states())
