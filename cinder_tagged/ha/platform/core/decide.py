# SPDX-License-Identifier: Apache-2.0
"""The decision table: the first row that fits decides.

The same table stands in the operators' documentation; a test compares them.
"""

from collections.abc import Mapping
import dataclasses

from cinder_tagged.ha.platform.core import model as m

Value = object

_DOWN_HARD = (m.Step.CUT, m.Step.KILL, m.Step.UNMOUNT, m.Step.UNMAP)
_DOWN = (m.Step.STOP, m.Step.UNMOUNT, m.Step.UNMAP)
_CLEAR = (m.Step.KILL, m.Step.UNMOUNT, m.Step.UNMAP)


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """If every field has one of its values, take these steps.

    :param when: values by the name of a field of Observation
    """

    name: str
    when: Mapping[str, frozenset[Value]]
    steps: tuple[m.Step, ...]
    message: str

    def fits(self, seen: m.Observation) -> bool:
        return all(getattr(seen, field) in values
                   for field, values in self.when.items())


def _row(name: str, steps: tuple[m.Step, ...], message: str,
         **when: Value) -> Row:
    return Row(name, {
        field: value if isinstance(value, frozenset) else frozenset({value})
        for field, value in when.items()}, steps, message)


_FOREIGN_CLAIM = frozenset({m.Claim.FREE, m.Claim.LEAVING, m.Claim.STALE})

TABLE: tuple[Row, ...] = (
    # M3: this server lost the storage, or was replaced.
    _row('cut off', _DOWN_HARD, 'the block storage does not answer: stopping',
         service=m.Service.FAULTY, here=True),
    _row('waiting for storage', (), 'the block storage does not answer',
         service=m.Service.FAULTY),
    _row('overtaken', _DOWN_HARD,
         'a newer owner has the volume: stopping at once',
         claim=m.Claim.NEWER, here=True),
    # M5: this server is a slave.
    _row('stepping down', (m.Step.ANNOUNCE, *_DOWN),
         'not master any more: stopping',
         role=m.Role.SLAVE, claim=m.Claim.OURS, here=True),
    _row('left over', _CLEAR, 'something of the platform was left here',
         role=m.Role.SLAVE, here=True),
    # "Released" says that no container runs anywhere: neither that of the
    # owner before us, for which we would still be waiting.
    _row('releasing', (m.Step.RELEASE,), 'not master any more',
         role=m.Role.SLAVE, claim=m.Claim.OURS, elsewhere=m.Elsewhere.NO),
    _row('standing by', (), 'another server is master', role=m.Role.SLAVE),
    # M4: this server is master.
    _row('not the newest', (),
         'master, but the record has a newer owner: the agent will tell',
         claim=m.Claim.NEWER),
    _row('not ours yet', _CLEAR, 'left from an earlier time as owner',
         claim=_FOREIGN_CLAIM, here=True),
    _row('mapping lost', _CLEAR, 'the client of the mapped volume has gone',
         mapping=m.Mapping.BROKEN),
    _row('volume lost', _CLEAR, 'the data directory is mounted on nothing',
         mapping=m.Mapping.NONE,
         mount=frozenset({m.Mount.YES, m.Mount.READ_ONLY})),
    _row('volume read-only', _DOWN,
         'the file system met an error: stopping, to check it',
         mount=m.Mount.READ_ONLY),
    _row('no data directory', (m.Step.KILL,),
         'the container runs without its volume', mount=m.Mount.NO,
         container=frozenset({m.Container.RUNNING, m.Container.UNHEALTHY})),
    _row('container ended', (m.Step.REMOVE,), 'the container ended by itself',
         container=m.Container.ENDED),
    _row('unhealthy', (m.Step.STOP,),
         'the health check fails: restarting the container',
         container=m.Container.UNHEALTHY),
    _row('running', (), 'running here', container=m.Container.RUNNING),
    _row('no image', (),
         'the image is not on this server: cinder-tagged-platform install',
         image=m.Image.MISSING),
    _row('wrong image', (),
         'the image on this server has another digest than configured',
         image=m.Image.WRONG),
    _row('backing off', (), 'waiting after a failure', pausing=True),
    _row('former owner stops', (), 'the owner before is stopping',
         claim=m.Claim.LEAVING),
    _row('taking over', (m.Step.CLAIM,),
         'taking the volume over and fencing its owner before',
         claim=frozenset({m.Claim.FREE, m.Claim.STALE})),
    _row('mapping', (m.Step.MAP,), 'mapping the volume',
         mapping=m.Mapping.NONE),
    _row('confirming', (m.Step.CONFIRM,),
         'writing the client of the volume into the record',
         mapping=m.Mapping.INERT),
    _row('mounted, waiting', (),
         'the owner before may still be stopping its container',
         mount=m.Mount.YES, elsewhere=m.Elsewhere.MAYBE),
    _row('starting', (m.Step.START,), 'starting the container',
         mount=m.Mount.YES),
    _row('looking', (m.Step.PROBE,), 'looking at the file system',
         filesystem=m.FileSystem.UNKNOWN),
    _row('formatting', (m.Step.FORMAT,), 'the volume is new: formatting it',
         filesystem=m.FileSystem.EMPTY),
    _row('foreign data', (),
         'the volume holds something else than our file system: it is left '
         'alone; name another volume, or empty it by hand',
         filesystem=m.FileSystem.FOREIGN),
    _row('corrupt', (),
         'the file system has errors that need a decision: repair it by '
         'hand (e2fsck), or set fsck = repair',
         filesystem=m.FileSystem.CORRUPT),
    _row('unreadable', (m.Step.PROBE,), 'the volume cannot be read',
         filesystem=m.FileSystem.UNREADABLE),
    _row('checking', (m.Step.CHECK,), 'checking the file system',
         filesystem=m.FileSystem.UNCHECKED),
    _row('mounting', (m.Step.MOUNT,), 'mounting the volume',
         filesystem=m.FileSystem.SOUND),
)


def decide(seen: m.Observation) -> m.Decision:
    """Return what to do.  Every observation fits a row."""
    for row in TABLE:
        if row.fits(seen):
            return m.Decision(row.name, row.steps, row.message)
    raise AssertionError(f'no row for {seen}')


def table_rst() -> str:
    """The table as operators read it, a reStructuredText list-table."""
    lines = ['.. list-table::', '   :header-rows: 1', '',
             '   * - row', '     - when', '     - steps', '     - message']
    for row in TABLE:
        when = ', '.join(f'{field} {_values(values)}'
                         for field, values in row.when.items())
        steps = ', '.join(step.value for step in row.steps) or 'none'
        lines += [f'   * - {row.name}', f'     - {when}', f'     - {steps}',
                  f'     - {row.message}']
    return '\n'.join(lines) + '\n'


def _values(values: frozenset[Value]) -> str:
    return ' or '.join(sorted(
        str(getattr(value, 'value', {True: 'yes', False: 'no'}.get(
            bool(value)))) for value in values))
