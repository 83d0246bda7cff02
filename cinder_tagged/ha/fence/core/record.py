# SPDX-License-Identifier: Apache-2.0
"""What a run must remember, since a wiped table forgets it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cinder_tagged.ha.fence.core import layers
from cinder_tagged.ha.fence.core.model import FenceRecord
from cinder_tagged.ha.fence.core.model import Order
from cinder_tagged.ha.fence.core.model import Scope
from cinder_tagged.ha.fence.core.model import VgView
from cinder_tagged.ha.fence.core.model import VolumeRecord

FORMAT = 1


def remember(
    view: VgView, order: Order, before: FenceRecord | None,
) -> FenceRecord:
    """Return the record of this view, keeping what an earlier run saw.

    An earlier run has seen tables and locks that are gone by now, so its
    word on a volume stands; volumes that came up since are added.
    """
    known = {v.uuid: v for v in before.volumes} if before else {}
    for volume in layers.doomed(view, order.scope):
        identity = volume.identity
        if identity.layer or volume.name in {v.name for v in known.values()}:
            continue
        lock_uuid, mode = layers.lock_of(volume, view)
        known[identity.uuid] = VolumeRecord(
            name=volume.name, lv=identity.lv, uuid=identity.uuid,
            lock_uuid=lock_uuid, mode=mode, hidden=identity.hidden)
    maps = dict(before.maps) if before else {}
    maps.update({m.name: m.wwid for m in view.maps})
    queueing = dict(before.queueing) if before else {}
    queueing.update(
        {m.name: m.wwid for m in view.maps if m.lost and m.queueing})
    return FenceRecord(
        vg=view.vg, scope=order.scope, reason=order.reason,
        volumes=tuple(known.values()), queueing=queueing, maps=maps,
        paused=before.paused if before else ())


def finished(record: FenceRecord, paused: tuple[str, ...]) -> FenceRecord:
    both = tuple(dict.fromkeys((*record.paused, *paused)))
    return replace(record, finished=True, paused=both)


def dump(record: FenceRecord) -> dict[str, Any]:
    """Return plain data, for JSON."""
    return {
        'format': FORMAT, 'vg': record.vg, 'scope': record.scope.value,
        'reason': record.reason, 'finished': record.finished,
        'maps': dict(record.maps), 'queueing': dict(record.queueing),
        'paused': list(record.paused),
        'volumes': [vars(v) for v in record.volumes]}


def load(data: Mapping[str, Any]) -> FenceRecord:
    """Return the record; ValueError for a format of another release."""
    if data.get('format') != FORMAT:
        raise ValueError(f'unknown record format {data.get("format")!r}')
    return FenceRecord(
        vg=data['vg'], scope=Scope(data['scope']), reason=data['reason'],
        finished=data['finished'], maps=data['maps'],
        queueing=data['queueing'], paused=tuple(data['paused']),
        volumes=tuple(VolumeRecord(**v) for v in data['volumes']))
