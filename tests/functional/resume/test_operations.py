# SPDX-License-Identifier: Apache-2.0
"""Each kind of request is under way when the service at work is killed."""

from collections.abc import Callable
from concurrent import futures
import os
import time
from typing import Any

from openstack import exceptions as sdk

from tests.functional.resume import base
from tests.functional.resume.audit import audit

#: Of each kind at once, so that one is met under way.
_AT_ONCE = 3
_TRIES = 6
#: Copied long enough to be met.
_IMAGE_MIB = 96
_BUSY = ('creating', 'downloading', 'deleting', 'extending', 'retyping',
         'uploading')
_GONE = 'gone'

#: What the journal calls each kind.
KINDS = {
    'create_empty': 'create_volume',
    'create_from_image': 'create_volume',
    'create_from_snapshot': 'create_volume',
    'clone': 'create_volume',
    'extend': 'extend_volume',
    'snapshot': 'create_snapshot',
    'delete_snapshot': 'delete_snapshot',
    'delete': 'delete_volume',
    'retype': 'retype',
    'upload': 'copy_volume_to_image',
}
FULL = bool(os.environ.get('CINDER_TAGGED_FULL'))
EVERYDAY = ('create_empty',)


class TestOperations(base.ResumeTestCase):
    """Three nodes on green threads, Cinder's own choice."""

    eventlet = True

    def setUp(self):
        super().setUp()
        self.image = base.make_image(self.sandbox.connect(), _IMAGE_MIB)
        self.cinder = self.sandbox.connect('admin').block_storage
        self.origin = self.volume()
        self.origin_snapshot = self.snapshot(self.origin)
        self.killed = ''

    def test_what_a_killed_service_worked_on_is_finished(self):
        for kind in KINDS if FULL else EVERYDAY:
            self.killed_at(kind, *getattr(self, f'_{kind}')())
        self.assertEqual([], audit(self.sandbox), self._logs())

    def killed_at(self, kind: str, prepare: Callable[[], Any],
                  ask: Callable[[Any], object],
                  judge: Callable[[Any], object]) -> None:
        """Kill nodes at work until another had to do a request again.

        :param prepare: makes what one request is about
        :param judge: raises if it did not come to what was asked
        """
        method = KINDS[kind]
        before = self.resumed().get(method, 0)
        for _ in range(_TRIES):
            with futures.ThreadPoolExecutor(_AT_ONCE) as pool:
                about = [prepare() for _ in range(_AT_ONCE)]
                asked = [pool.submit(ask, it) for it in about]
                host = self.caught(method, asked)
                # A request that was accepted has an answer, or an id.
                about = [f.result() or it
                         for f, it in zip(asked, about, strict=True)]
            for it in about:
                judge(it)
            if host:
                self.killed = host
                self.cinder_volume.nodes[host].start()
            if self.resumed().get(method, 0) > before:
                return
        self.fail(f'{kind} was never met under way')

    def caught(self, method: str, asked: list[Any]) -> str:
        """Kill who works on such a request; return its node, if any."""
        if self.killed:
            self.wait_until(lambda: base.node_up(self.sandbox, self.killed),
                            f'{self.killed} up again')
        until = None
        while until is None or time.monotonic() < until:
            host = self.owner(method)
            if host:
                self.cinder_volume.nodes[host].kill()
                return host
            if until is None and all(f.done() for f in asked):
                until = time.monotonic() + 3
            time.sleep(0.005)
        return ''

    # -- helpers --------------------------------------------------------------

    def volume(self, **attributes: Any) -> str:
        volume = str(self.cinder.create_volume(size=1, **attributes).id)
        self.available(volume)
        return volume

    def snapshot(self, volume: str) -> str:
        snapshot = str(self.cinder.create_snapshot(volume_id=volume).id)
        self.came_to(lambda: self.cinder.get_snapshot(snapshot), 'available')
        return snapshot

    def came_to(self, look: Callable[[], Any], wanted: str) -> Any:
        """Wait for an end, and demand that it is this status."""
        found: dict[str, Any] = {}

        def ended() -> bool:
            try:
                found['it'] = look()
                found['status'] = found['it'].status
            except sdk.NotFoundException:
                found['status'] = _GONE
            return found['status'] == wanted or found['status'] not in (
                *_BUSY, 'available')
        self.wait_until(ended, f'{wanted}, not {found}')
        self.assertEqual(wanted, found['status'], self._logs())
        return found.get('it')

    def available(self, volume: str) -> Any:
        return self.came_to(lambda: self.cinder.get_volume(volume),
                            'available')

    # -- the kinds: prepare, ask, judge ---------------------------------------

    def _create(self, **attributes: Any) -> tuple[Any, ...]:
        return (lambda: '',
                lambda _: str(self.cinder.create_volume(
                    size=1, **attributes).id),
                self.available)

    def _create_empty(self):
        return self._create()

    def _create_from_image(self):
        # In the other cluster than the image: copied, not cloned.
        return self._create(image_id=self.image, volume_type='private')

    def _create_from_snapshot(self):
        return self._create(snapshot_id=self.origin_snapshot)

    def _clone(self):
        return self._create(source_volume_id=self.origin)

    def _extend(self):
        return (self.volume,
                lambda volume: self.cinder.extend_volume(volume, 2),
                lambda volume: self.assertEqual(
                    2, self.available(volume).size))

    def _snapshot(self):
        return (self.volume,
                lambda volume: str(self.cinder.create_snapshot(
                    volume_id=volume).id),
                lambda snapshot: self.came_to(
                    lambda: self.cinder.get_snapshot(snapshot), 'available'))

    def _delete_snapshot(self):
        return (lambda: self.snapshot(self.volume()),
                lambda snapshot: self.cinder.delete_snapshot(
                    snapshot, ignore_missing=False),
                lambda snapshot: self.came_to(
                    lambda: self.cinder.get_snapshot(snapshot), _GONE))

    def _delete(self):
        return (self.volume,
                lambda volume: self.cinder.delete_volume(
                    volume, ignore_missing=False),
                lambda volume: self.came_to(
                    lambda: self.cinder.get_volume(volume), _GONE))

    def _retype(self):
        def judge(volume):
            found = self.available(volume)
            self.assertEqual('private', found.volume_type)
            self.assertIn('ceph-ssd-b', found.host)
        return (lambda: self.volume(image_id=self.image,
                                    volume_type='public'),
                lambda volume: self.cinder.retype_volume(
                    volume, 'private', migration_policy='on-demand'),
                judge)

    def _upload(self):
        images = self.sandbox.connect('admin').image

        def ask(volume):
            answer = self.cinder.upload_volume_to_image(
                volume, f'of {volume}', disk_format='raw')
            return volume, answer['image_id']

        def judge(asked):
            volume, image = asked
            self.available(volume)
            found = images.find_image(image)
            if found is not None:
                self.assertEqual('active', found.status)
                return
            self.assertNotEqual([], self.messages(volume))
        return self.volume, ask, judge

    def messages(self, resource: str) -> list[str]:
        """Return what users are told of a resource."""
        answer = self.cinder.get(f'/messages?resource_uuid={resource}',
                                 microversion='3.5')
        return [m['user_message'] for m in answer.json()['messages']]
