# SPDX-License-Identifier: Apache-2.0
"""Queueing of multipath maps, one map at a time.

multipathd forgets ``disablequeueing`` when it reloads the map, for example
because a path was removed.  What holds is configuration, and only for this
map's wwid: an ``overrides`` section would take queueing from every other
SAN on the node as well.
"""

import os
import pathlib
import re

from cinder_tagged.ha.fence import exceptions
from cinder_tagged.ha.fence.adapters import command
from cinder_tagged.ha.fence.adapters import dmsetup
from cinder_tagged.ha.fence.core.fencing import Method

_PREFIX = 'zz-cinder-tagged-fence-'


class Multipath:
    def __init__(self, conf_dir: str, deadline: float) -> None:
        self._conf_dir = pathlib.Path(conf_dir)
        self._deadline = deadline

    def disable_queueing(self, name: str, wwid: str, how: Method) -> None:
        if how is Method.KERNEL:
            dmsetup.fail_if_no_path(name, self._deadline)
            return
        if how is Method.OVERRIDE:
            self._override(wwid)
        self._daemon('disablequeueing', 'map', name)

    def restore_queueing(self, name: str, wwid: str) -> None:
        self.drop_override(wwid)
        self._daemon('restorequeueing', 'map', name)

    def drop_override(self, wwid: str) -> None:
        if self._file(wwid).exists():
            self._file(wwid).unlink()
            self._daemon('reconfigure')

    def overrides(self) -> tuple[str, ...]:
        """Return the wwids that an override stands for."""
        return tuple(
            path.stem.removeprefix(_PREFIX)
            for path in sorted(self._conf_dir.glob(_PREFIX + '*.conf')))

    def _override(self, wwid: str) -> None:
        if not re.fullmatch(r'[\w.:+-]+', wwid):
            raise exceptions.Unreadable(f'wwid {wwid!r} of a multipath map')
        self._conf_dir.mkdir(parents=True, exist_ok=True)
        fresh = self._file(wwid).with_suffix('.new')
        fresh.write_text(
            '# written by cinder-tagged-fence, removed on recovery\n'
            'multipaths {\n    multipath {\n'
            f'        wwid "{wwid}"\n        no_path_retry fail\n'
            '    }\n}\n')
        os.replace(fresh, self._file(wwid))
        self._daemon('reconfigure')

    def _file(self, wwid: str) -> pathlib.Path:
        return self._conf_dir / f'{_PREFIX}{wwid}.conf'

    def _daemon(self, *words: str) -> None:
        said = command.run(['multipathd', *words], self._deadline).strip()
        # Some releases report a refusal in words only.
        if said and said.splitlines()[-1] not in ('ok',):
            raise exceptions.ToolFailed(
                f"multipathd {' '.join(words)}", 0, said)
