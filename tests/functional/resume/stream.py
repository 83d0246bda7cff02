# SPDX-License-Identifier: Apache-2.0
"""A steady stream of mixed requests, and what became of each.

Every client goes through the lives of volumes: it makes one, does something
with it, and deletes it. What the API accepted is followed until it has ended,
whatever happens to the services meanwhile.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import dataclasses
import random
import threading
import time
from typing import Any

from keystoneauth1 import exceptions as keystone
from openstack import exceptions as sdk

#: Until a request that has not ended counts as lost, seconds.
PATIENCE_S = 240
_POLL_S = 0.25
_GONE = 'gone'
#: What clients get instead of an answer.
_NO_ANSWER = (sdk.SDKException, keystone.ClientException)


@dataclasses.dataclass
class Request:
    """One accepted request.

    :ivar wanted: the status that was asked for
    :ivar ended: the status it came to; '' while it is under way
    """

    kind: str
    resource: str
    wanted: str
    began: float
    took: float = 0.0
    ended: str = ''

    @property
    def fulfilled(self) -> bool:
        """Whether it came to what was asked for."""
        return self.ended == self.wanted

    def __str__(self) -> str:
        return (f'{self.kind} of {self.resource}: {self.ended or "no end"} '
                f'after {self.took:.1f} s')


class Stream:
    """Several clients that never pause.

    :param connect: returns an openstacksdk connection
    :param image: id of a Glance image; '' sends nothing about images
    """

    def __init__(self, connect: Callable[[], Any], image: str = '',
                 clients: int = 6, seed: int | None = None) -> None:
        self.requests: list[Request] = []
        self.refused: list[str] = []
        self.faults: list[str] = []
        self.left: set[str] = set()
        #: resources of requests that nothing came back for: not accepted,
        #: not refused either
        self.unanswered: set[str] = set()
        self._connect = connect
        self._image = image
        self._random = random.Random(seed)
        self._stop = threading.Event()
        self._origin = ''
        self._origin_snapshot = ''
        self._threads = [
            threading.Thread(target=self._client, args=(n,), daemon=True)
            for n in range(clients)]

    # -- life -----------------------------------------------------------------

    def prepare(self) -> None:
        """Make the volume and the snapshot that others are made from."""
        cinder = self._connect().block_storage
        self._origin = self._volume(cinder, 'create empty', size=1)
        self._origin_snapshot = self._snapshot(cinder, self._origin)

    def start(self) -> None:
        """Let the clients begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let each client finish what it is about."""
        self._stop.set()
        for thread in self._threads:
            thread.join(4 * PATIENCE_S)

    def __enter__(self) -> 'Stream':
        self.prepare()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def under_way(self) -> int:
        """How many accepted requests have not ended."""
        return sum(not r.ended for r in list(self.requests))

    def promised(self, resource: str) -> bool:
        """Tell whether all that was asked of a resource was answered."""
        return resource not in self.unanswered and any(
            r.resource == resource for r in self.requests)

    def unfulfilled(self) -> list[Request]:
        """Return what did not come to what was asked for."""
        return [r for r in self.requests if not r.fulfilled]

    def _client(self, number: int) -> None:
        connection = self._connect()
        dice = random.Random(self._random.random() + number)
        while not self._stop.is_set():
            try:
                self._one_life(connection, dice)
            except _Unfulfilled:
                continue
            except _NO_ANSWER as error:
                # Not accepted, so not promised: it is counted apart.
                self.refused.append(str(error))
                time.sleep(1)
            except Exception as error:
                self.faults.append(repr(error))
                raise

    # -- what a client does ---------------------------------------------------

    def _one_life(self, connection: Any, dice: random.Random) -> None:
        cinder = connection.block_storage
        origin: dict[str, Any] = dice.choice([
            {}, {'source_volume_id': self._origin},
            {'snapshot_id': self._origin_snapshot},
            {'image_id': self._image} if self._image else {}])
        kind = f'create from {next(iter(origin))}' if origin \
            else 'create empty'
        volume = self._volume(cinder, kind, size=1, **origin)
        for step in dice.sample(('extend', 'snapshot', 'none'), 2):
            if step == 'extend':
                self._extend(cinder, volume)
            elif step == 'snapshot':
                snapshot = self._snapshot(cinder, volume)
                self._delete_snapshot(cinder, snapshot)
        if dice.random() < 0.8:
            self._delete(cinder, volume)

    def _volume(self, cinder: Any, kind: str, **attributes: Any) -> str:
        volume = str(cinder.create_volume(**attributes).id)
        self.left.add(volume)
        with self._followed(kind, volume, 'available') as request:
            self._await(request, lambda: cinder.get_volume(volume).status,
                        ('creating', 'downloading'))
        return volume

    def _snapshot(self, cinder: Any, volume: str) -> str:
        snapshot = str(cinder.create_snapshot(volume_id=volume).id)
        with self._followed('create snapshot', snapshot,
                            'available') as request:
            self._await(request,
                        lambda: cinder.get_snapshot(snapshot).status,
                        ('creating',))
        return snapshot

    def _delete_snapshot(self, cinder: Any, snapshot: str) -> None:
        with self._answered(snapshot):
            cinder.delete_snapshot(snapshot, ignore_missing=False)
        with self._followed('delete snapshot', snapshot, _GONE) as request:
            self._await(request,
                        lambda: cinder.get_snapshot(snapshot).status,
                        ('deleting', 'available'))

    def _delete(self, cinder: Any, volume: str) -> None:
        with self._answered(volume):
            cinder.delete_volume(volume, ignore_missing=False)
        with self._followed('delete', volume, _GONE) as request:
            self._await(request, lambda: cinder.get_volume(volume).status,
                        ('deleting', 'available'))
        self.left.discard(volume)

    def _extend(self, cinder: Any, volume: str) -> None:
        with self._answered(volume):
            cinder.extend_volume(volume, 2)
        with self._followed('extend', volume, 'available') as request:
            self._await(request, lambda: cinder.get_volume(volume).status,
                        ('extending',))

    @contextlib.contextmanager
    def _answered(self, resource: str) -> Iterator[None]:
        try:
            yield
        except _NO_ANSWER:
            self.unanswered.add(resource)
            raise

    @contextlib.contextmanager
    def _followed(self, kind: str, resource: str,
                  wanted: str) -> Iterator[Request]:
        request = Request(kind, resource, wanted, time.monotonic())
        self.requests.append(request)
        yield request
        if not request.fulfilled:
            raise _Unfulfilled

    def _await(self, request: Request, status: Callable[[], str],
               working: tuple[str, ...]) -> None:
        while True:
            try:
                now = status()
            except sdk.NotFoundException:
                now = _GONE
            except _NO_ANSWER:
                now = working[0]  # the API is away: ask again
            request.took = time.monotonic() - request.began
            if now not in working:
                request.ended = now
                return
            if request.took > PATIENCE_S:
                request.ended = f'still {now}'
                return
            time.sleep(_POLL_S)


class _Unfulfilled(Exception):
    """A request came to something else; the volume is left alone."""
