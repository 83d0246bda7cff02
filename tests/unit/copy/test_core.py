# SPDX-License-Identifier: Apache-2.0
"""Decisions of copying."""

import itertools

import ddt
from hypothesis import given
from hypothesis import HealthCheck
from hypothesis import settings
from hypothesis import strategies as st
from oslotest import base

from cinder_tagged.copy.core import decision
from cinder_tagged.copy.core import eviction
from cinder_tagged.copy.core import extents
from cinder_tagged.copy.core import record as record_mod
from cinder_tagged.copy.core import zeros
from cinder_tagged.copy.core.decision import Fate
from cinder_tagged.copy.core.decision import Found
from cinder_tagged.copy.core.extents import Extent
from cinder_tagged.copy.core.progress import Progress
from cinder_tagged.copy.core.record import Copier
from cinder_tagged.copy.core.record import Record
from cinder_tagged.copy.core.record import State

# A busy machine is no failure.
_PATIENT = settings(deadline=None, max_examples=60,
                    suppress_health_check=[HealthCheck.too_slow])

MiB = 1 << 20
GRAIN = zeros.GRAIN

_extents = st.lists(st.builds(
    Extent, st.integers(0, 200), st.integers(1, 60)), max_size=12)


def _bytes_of(items):
    return {i for e in items for i in range(e.offset, e.end)}


@ddt.ddt
class ExtentsTest(base.BaseTestCase):

    @_PATIENT
    @given(_extents)
    def test_merge_keeps_the_bytes_and_leaves_gaps_between(self, items):
        merged = extents.merge(items)
        self.assertEqual(_bytes_of(items), _bytes_of(merged))
        for before, after in itertools.pairwise(merged):
            self.assertLess(before.end, after.offset)

    @_PATIENT
    @given(_extents, st.integers(1, 50))
    def test_portions_hold_the_same_bytes_within_one_object(self, items,
                                                            size):
        merged = extents.merge(items)
        cut = list(extents.portions(merged, size))
        self.assertEqual(_bytes_of(merged), _bytes_of(cut))
        self.assertEqual(extents.total(merged), extents.total(cut))
        for portion in cut:
            self.assertEqual(portion.offset // size,
                             (portion.end - 1) // size)

    @ddt.data((-1, 5), (0, 0), (3, -2))
    def test_no_extent(self, numbers):
        self.assertRaises(ValueError, Extent, *numbers)

    def test_portions_of_nothing_are_refused(self):
        self.assertRaises(ValueError, list,
                          extents.portions([Extent(0, 1)], 0))


class ZerosTest(base.BaseTestCase):

    def test_all_zero(self):
        self.assertEqual([], zeros.data_runs(bytes(MiB), 65536))

    def test_nothing(self):
        self.assertEqual([], zeros.data_runs(b'', 65536))

    def test_short_gaps_are_written(self):
        data = b'x' * GRAIN + bytes(15 * GRAIN) + b'y' * GRAIN
        self.assertEqual([(0, 17 * GRAIN)],
                         zeros.data_runs(data, 16 * GRAIN))

    def test_long_gaps_are_left_out(self):
        data = b'x' * GRAIN + bytes(16 * GRAIN) + b'y' * GRAIN
        self.assertEqual([(0, GRAIN), (17 * GRAIN, 18 * GRAIN)],
                         zeros.data_runs(data, 16 * GRAIN))

    def test_zeros_at_the_ends_are_left_out(self):
        data = bytes(GRAIN) + b'x' + bytes(3 * GRAIN)
        self.assertEqual([(GRAIN, 2 * GRAIN)],
                         zeros.data_runs(data, 64 * GRAIN))

    def test_a_tail_shorter_than_a_grain(self):
        self.assertEqual([(GRAIN, GRAIN + 3)],
                         zeros.data_runs(bytes(GRAIN) + b'\0\0x', GRAIN))
        self.assertEqual([], zeros.data_runs(bytes(GRAIN + 3), GRAIN))

    def test_gap_of_zero_leaves_nothing_out(self):
        self.assertEqual([(0, MiB)], zeros.data_runs(bytes(MiB), 0))

    @_PATIENT
    @given(st.lists(st.tuples(st.sampled_from([b'\0', b'\1']),
                              st.integers(1, 3 * GRAIN)), max_size=8),
           st.integers(1, 4 * GRAIN))
    def test_what_is_left_out_is_zero(self, pieces, gap):
        data = b''.join(byte * length for byte, length in pieces)
        rebuilt = bytearray(len(data))
        end = -1
        for start, stop in zeros.data_runs(data, gap):
            self.assertLess(end, start)
            rebuilt[start:stop] = data[start:stop]
            end = stop
        self.assertEqual(data, bytes(rebuilt))

    @_PATIENT
    @given(st.lists(st.tuples(st.booleans(), st.integers(1, 9)), max_size=8),
           st.integers(0, GRAIN - 1), st.integers(1, 5 * GRAIN))
    def test_every_long_gap_is_left_out(self, pieces, tail, gap):
        dense = [full for full, count in pieces for _grain in range(count)]
        data = b''.join((b'\0' * (GRAIN - 1) + b'\1') if full
                        else bytes(GRAIN) for full in dense) + bytes(tail)
        kept = set()
        for start, end in zeros.data_runs(data, gap):
            self.assertEqual((0, 0), (start % GRAIN, end % GRAIN))
            kept |= set(range(start // GRAIN, end // GRAIN))
        position = 0
        for full, group in itertools.groupby(dense):
            grains = range(position, position + len(list(group)))
            position = grains.stop
            long = (len(grains) * GRAIN >= gap or not grains.start
                    or position == len(dense))
            self.assertEqual(full or not long, set(grains) <= kept)
            self.assertEqual(not full and long, not set(grains) & kept)


def _record(state=State.READY, target='seed-i', **values):
    values = {'size': 10, 'stored': 5, 'image_id': 'a1', 'snap_id': 4,
              'digest': 'd', **values}
    return Record(target, state, 'rbd://x', epoch=1,
                  copier=Copier('h', 1, '10.0.0.1:0/5'), began=1.5, **values)


@ddt.ddt
class RecordTest(base.BaseTestCase):

    def test_survives_storage(self):
        for state in State:
            record = _record(state)
            self.assertEqual(record, record_mod.load(record.dump()))

    @ddt.data('', '{}', '[]', '{"version": 2}', '{"version": 1}', 'null')
    def test_damage_is_named(self, text):
        exc = self.assertRaises(ValueError, record_mod.load, text)
        self.assertIn('unreadable record', str(exc))

    def test_beat_survives_storage(self):
        beat = record_mod.Beat(3, 1 << 40, 1 << 41)
        self.assertEqual(beat, record_mod.load_beat(beat.dump()))

    def test_names(self):
        name = record_mod.seed_name('1-2')
        self.assertTrue(record_mod.is_seed(name))
        self.assertEqual('1-2', record_mod.image_of(name))
        self.assertFalse(record_mod.is_seed('volume-1'))


@ddt.ddt
class DecisionTest(base.BaseTestCase):

    def test_intact(self):
        self.assertTrue(decision.intact(_record(), Found('a1', 10, 4), 'd'))

    def test_unknown_digests_do_not_count(self):
        found = Found('a1', 10, 4)
        self.assertTrue(decision.intact(_record(), found, ''))
        self.assertTrue(decision.intact(_record(digest=''), found, 'd'))

    @ddt.data(
        (None, Found('a1', 10, 4), ''),
        (_record(), None, ''),
        (_record(State.COPYING), Found('a1', 10, 4), ''),
        (_record(State.DROPPING), Found('a1', 10, 4), ''),
        (_record(), Found('a2', 10, 4), ''),
        (_record(), Found('a1', 11, 4), ''),
        (_record(), Found('a1', 10, 5), ''),
        (_record(), Found('a1', 10, None), ''),
        (_record(), Found('a1', 10, 4), 'other'),
    )
    @ddt.unpack
    def test_not_intact(self, record, found, digest):
        self.assertFalse(decision.intact(record, found, digest))

    @ddt.data(
        (State.COPYING, 'seed-i', False, 0, Fate.REMOVE),
        (State.COPYING, 'volume-i', False, 0, Fate.REMOVE),
        (State.READY, 'seed-i', False, 0, Fate.REMOVE),
        (State.READY, 'seed-i', False, 1, Fate.KEEP),
        (State.DROPPING, 'seed-i', False, 0, Fate.REMOVE),
        (State.DROPPING, 'seed-i', False, 2, Fate.KEEP),
        (State.READY, 'volume-i', False, 0, Fate.KEEP),
        (State.READY, 'volume-i', True, 0, Fate.REMOVE),
        (State.DROPPING, 'volume-i', True, 0, Fate.REMOVE),
    )
    @ddt.unpack
    def test_fate(self, state, target, dropped, clones, expected):
        self.assertEqual(expected, decision.fate(
            _record(state, target), dropped=dropped, clones=clones,
            age_s=10, grace_s=60))

    def test_fate_of_an_old_move(self):
        self.assertEqual(Fate.FORGET, decision.fate(
            _record(target='volume-i'), dropped=False, clones=0,
            age_s=61, grace_s=60))


class EvictionTest(base.BaseTestCase):

    seeds = [eviction.Candidate('a', 5, 30.0),
             eviction.Candidate('b', 7, 10.0),
             eviction.Candidate('c', 9, 20.0)]

    def _names(self, seeds):
        return [seed.target for seed in seeds]

    def test_the_one_unused_for_longest_goes_first(self):
        self.assertEqual(['b', 'c', 'a'], self._names(
            eviction.least_recently_used(self.seeds)))

    def test_one_may_be_kept(self):
        self.assertEqual(['c', 'a'], self._names(
            eviction.least_recently_used(self.seeds, keep='b')))

    def test_idle(self):
        self.assertEqual(['b'], self._names(
            eviction.idle(self.seeds, now=35.0, longest=20.0)))
        self.assertEqual([], self._names(
            eviction.idle(self.seeds, now=35.0, longest=0)))


class ProgressTest(base.BaseTestCase):

    def test_text(self):
        progress = Progress(100.0, total=400 * MiB)
        progress.add(100 * MiB, 50 * MiB)
        self.assertEqual(
            '100 MiB of 400 MiB (25 %, 15 s left), 50 MiB written, '
            '20 MiB/s', progress.text(105.0))

    def test_text_before_anything_is_known(self):
        self.assertEqual('0 MiB, 0 MiB written, 0 MiB/s',
                         Progress(5.0).text(5.0))
