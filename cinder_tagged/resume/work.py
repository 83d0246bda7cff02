# SPDX-License-Identifier: Apache-2.0
"""Doing journalled work again, and ending what cannot be done again."""

from typing import Any

from cinder import context as cinder_context
from cinder import exception
from cinder import objects
from cinder import quota
from cinder.image import image_utils
from cinder.message import api as message_api
from cinder.message import message_field
from cinder.objects import base as objects_base
from oslo_log import log as logging

from cinder_tagged.resume import secrets
from cinder_tagged.resume.core.operations import Operation
from cinder_tagged.resume.core.operations import OPERATIONS
from cinder_tagged.resume.journal import Entry

LOG = logging.getLogger(__name__)
QUOTAS = quota.QUOTAS

_ACTIONS = {
    'create_volume': message_field.Action.SCHEDULE_ALLOCATE_VOLUME,
    'create_snapshot': message_field.Action.SNAPSHOT_CREATE,
    'delete_snapshot': message_field.Action.SNAPSHOT_DELETE,
    'extend_volume': message_field.Action.EXTEND_VOLUME,
    'copy_volume_to_image': message_field.Action.COPY_VOLUME_TO_IMAGE,
}
_DETAILS = {
    'create_snapshot': message_field.Detail.SNAPSHOT_CREATE_ERROR,
    'delete_snapshot': message_field.Detail.SNAPSHOT_DELETE_ERROR,
    'extend_volume': message_field.Detail.DRIVER_FAILED_EXTEND,
    'copy_volume_to_image': message_field.Detail.FAILED_TO_UPLOAD_VOLUME,
}
_ERROR = {
    'create_volume': 'error', 'delete_volume': 'error_deleting',
    'create_snapshot': 'error', 'delete_snapshot': 'error_deleting',
    'extend_volume': 'error_extending',
}


def context_of(entry: Entry) -> cinder_context.RequestContext:
    """Return the context of the user who asked."""
    values = dict(entry.message['context'])
    values['auth_token'] = secrets.unseal(entry.token)
    return cinder_context.RequestContext.from_dict(values)


def arguments_of(entry: Entry,
                 ctxt: cinder_context.RequestContext) -> dict[str, Any]:
    """Return the arguments of the cast, as the service would get them."""
    serializer = objects_base.CinderObjectSerializer()
    return {name: serializer.deserialize_entity(ctxt, value)
            for name, value in entry.message['arguments'].items()}


def image_status(entry: Entry) -> str | None:
    """Return the status of the image that an upload fills.

    None where the entry is no upload.
    """
    if entry.method != 'copy_volume_to_image':
        return None
    image_id = entry.message['arguments']['image_meta']['id']
    try:
        return str(image_utils.glance.get_default_image_service().show(
            context_of(entry), image_id)['status'])
    except exception.ImageNotFound:
        return 'gone'


def clear_leftovers(operation: Operation, resource: Any,
                    driver: Any) -> None:
    """Remove what a dead worker may have left on the cluster.

    The name of what it made is known from the resource's id, and nobody
    uses it: its status says that it was never finished.
    """
    if operation.leaves == 'image':
        driver.delete_volume(resource)
        if resource.source_volid and hasattr(driver, 'drop_clone_snapshot'):
            source = objects.Volume.get_by_id(
                cinder_context.get_admin_context(), resource.source_volid)
            driver.drop_clone_snapshot(resource, source.name)
    elif operation.leaves == 'snapshot':
        driver.delete_snapshot(resource)


def reset(operation: Operation, resource: Any) -> None:
    """Put the resource back to where the operation starts."""
    if resource.status != operation.restart:
        resource.status = operation.restart
        resource.save()


def settle_carried(entry: Entry, resource: Any) -> None:
    """End the quota reservations of a request that has come to its end.

    The API makes them, and the service ends them after its last change of
    the record. Those that were ended before are passed over.
    """
    if entry.method not in ('extend_volume', 'retype'):
        return
    arguments = arguments_of(entry, context_of(entry))
    if entry.method == 'extend_volume':
        reached = resource is None or resource.size >= arguments['new_size']
    else:
        wanted = arguments['request_spec'].get('volume_type')['id']
        reached = resource is None or resource.volume_type_id == wanted
    end = QUOTAS.commit if reached else QUOTAS.rollback
    for reservations in _carried(arguments):
        end(cinder_context.get_admin_context(), reservations,
            project_id=entry.message['context'].get('project_id'))


def _carried(arguments: dict[str, Any]) -> list[list[str]]:
    """Return the quota reservations that a request brings along."""
    spec = arguments.get('request_spec') or {}
    return [found for found in (arguments.get('reservations'),
                                spec.get('quota_reservations'),
                                spec.get('old_reservations')) if found]


def finish_upload(volume: Any) -> None:
    """Put a volume back whose data the image service has."""
    volume.status = 'in-use' if volume.volume_attachment else 'available'
    volume.save()


def give_up(entry: Entry, resource: Any, why: str) -> None:
    """End an entry in one clear error; quota and statuses put right."""
    ctxt = context_of(entry)
    admin = cinder_context.get_admin_context()
    if entry.method in _ERROR:
        resource.status = _ERROR[entry.method]
        resource.save()
    elif entry.method == 'copy_volume_to_image':
        _give_up_upload(entry, ctxt, resource)
    else:
        resource.status = resource.previous_status or 'available'
        resource.migration_status = None
        resource.save()
    for reservations in _carried(arguments_of(entry, ctxt)):
        QUOTAS.rollback(admin, reservations, project_id=resource.project_id)
    message_api.API().create(
        ctxt, _ACTIONS.get(entry.method,
                           message_field.Action.SCHEDULE_ALLOCATE_VOLUME),
        resource_type=(message_field.Resource.VOLUME
                       if OPERATIONS[entry.method].resource == 'volume'
                       else message_field.Resource.VOLUME_SNAPSHOT),
        resource_uuid=entry.resource_id, detail=_DETAILS.get(entry.method))
    LOG.error('%s of %s cannot be resumed and ends in error: %s.',
              entry.method, entry.resource_id, why)


def _give_up_upload(entry: Entry, ctxt: cinder_context.RequestContext,
                    volume: Any) -> None:
    finish_upload(volume)
    image_id = entry.message['arguments']['image_meta']['id']
    try:
        image_utils.glance.get_default_image_service().delete(ctxt, image_id)
    except exception.CinderException as error:
        LOG.warning('The unfinished image %s stays: %s', image_id, error)
