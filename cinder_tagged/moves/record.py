# SPDX-License-Identifier: Apache-2.0
"""The plan in a file: to look at first, to stop and to go on with.

The file is replaced as a whole at each change, so that it is never half
written. One process at a time works on it. A second file beside it,
``FILE.pause``, asks that process to begin no more moves.
"""

from collections.abc import Iterator
import contextlib
import dataclasses
import fcntl
import json
import pathlib
from typing import Any

from cinder_tagged import files
from cinder_tagged.moves import errors
from cinder_tagged.moves import model

_FORMAT = 1


class Record:
    """A plan and the file it is kept in.

    :param path: file; its directory exists
    """

    def __init__(self, path: pathlib.Path, plan: model.Plan) -> None:
        self.path = path
        self.plan = plan

    @classmethod
    def read(cls, path: pathlib.Path) -> 'Record':
        """Read a file.

        :raises MovesError: it is not there, or it is no plan
        """
        try:
            text = path.read_text(encoding='utf-8')
        except (OSError, UnicodeDecodeError) as error:
            raise errors.MovesError(
                f'{path} cannot be read: {error}; name a file that "drain" '
                'or "rebalance" wrote') from error
        try:
            return cls(path, _plan(json.loads(text)))
        except (ValueError, KeyError, TypeError, AttributeError,
                RecursionError) as error:
            raise errors.MovesError(
                f'{path} is no plan of moves ({error!r}); name a file that '
                '"drain" or "rebalance" wrote') from error

    def write(self) -> None:
        """Replace the file.

        :raises MovesError: it cannot be written
        """
        try:
            files.replace(self.path, _text(self.plan).encode(), mode=0o600)
        except OSError as error:
            raise errors.MovesError(
                f'{self.path} cannot be written: {error.strerror}; name '
                'another with --file') from error

    @property
    def paused(self) -> bool:
        """Somebody asked that no more moves begin."""
        return _beside(self.path, 'pause').exists()

    def pause(self) -> None:
        """Ask whoever works on the file to begin no more moves."""
        _beside(self.path, 'pause').touch()

    def unpause(self) -> None:
        """Take the request back."""
        _beside(self.path, 'pause').unlink(missing_ok=True)


@contextlib.contextmanager
def alone(path: pathlib.Path) -> Iterator[None]:
    """Keep other processes from working on the same file.

    Read the file inside: it may have been somebody else's until then.

    :raises MovesError: another process works on it, or it is not there
    """
    # Beside the file, since that is replaced at each change. It stays: who
    # removed it could remove the one that somebody else has just locked.
    try:
        lock = open(_beside(path, 'lock'), 'w',  # noqa: SIM115
                    encoding='utf-8')
    except OSError as error:
        raise errors.MovesError(
            f'{path} cannot be locked: {error.strerror}; name a file in a '
            'directory that you may write') from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise errors.MovesError(
                f'another process is working on {path}; "moves show" '
                'follows it, "moves pause" stops it') from error
        yield


def _beside(path: pathlib.Path, suffix: str) -> pathlib.Path:
    return path.with_name(f'{path.name}.{suffix}')


def _text(plan: model.Plan) -> str:
    """Return a plan as JSON, each move and volume on a line of its own.

    Written at each change, and plans can be long: nothing that is slow.
    """
    parts = [f'"format": {_FORMAT}', f'"title": {json.dumps(plan.title)}']
    for name, shown, items in (('moves', model.Move, plan.moves),
                               ('left', model.Left, plan.left),
                               ('aside', model.Left, plan.aside),
                               ('shares', model.Share, plan.shares)):
        names = [field.name for field in dataclasses.fields(shown)]
        lines = ',\n  '.join(
            json.dumps({key: getattr(item, key) for key in names})
            for item in items)
        parts.append(f'"{name}": [\n  {lines}]' if lines else f'"{name}": []')
    return '{' + ',\n '.join(parts) + '}\n'


def _plan(read: Any) -> model.Plan:
    if read['format'] != _FORMAT:
        raise ValueError(f'format {read["format"]!r}')
    return model.Plan(
        str(read['title']),
        [model.Move(**{**move, 'state': model.State(move['state'])})
         for move in read['moves']],
        [model.Left(**left) for left in read['left']],
        [model.Left(**left) for left in read['aside']],
        [model.Share(**share) for share in read['shares']])
