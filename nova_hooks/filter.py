# SPDX-License-Identifier: Apache-2.0
"""The api-paste filter: stands right before the application.

In api-paste.ini, behind ``keystonecontext`` (and ``legacy_v2_compatible``)
in every ``keystone =`` pipeline::

    [filter:feature_disks]
    paste.filter_factory = nova_hooks.filter:filter_factory

A request that carries no feature goes on as it came, byte for byte.
"""

from collections.abc import Callable
import io
import json
import re
from typing import Any

from oslo_config import cfg
from oslo_log import log as logging
import webob

from nova_hooks import asking
from nova_hooks import errors
from nova_hooks import lookups
from nova_hooks import opts
from nova_hooks import quota
from nova_hooks import rewrite
from nova_hooks import version

LOG = logging.getLogger(__name__)

_CREATE = re.compile(r'(/[^/]+)?/(servers|os-volumes_boot)/?')
_TITLES = {400: 'badRequest', 403: 'forbidden', 503: 'serviceUnavailable'}


class FeatureDisks:
    """WSGI middleware that puts system disks where features say.

    :param conf: nova.conf with the group ``feature_disks`` registered
    :param facts: looks up flavors and images, as :mod:`nova_hooks.facts`
    :param cinder: looks up volume types and quotas
    """

    def __init__(self, application: Any, conf: cfg.ConfigOpts, facts: Any,
                 cinder: Any):
        self.application = application
        self.conf = conf
        self.facts = facts
        self.cinder = cinder

    def __call__(self, environ: dict[str, Any],
                 start_response: Callable[..., Any]) -> Any:
        """Serve one request."""
        context = environ.get('nova.context')
        if (environ.get('REQUEST_METHOD') != 'POST' or context is None
                or not _CREATE.fullmatch(environ.get('PATH_INFO', ''))):
            return self.application(environ, start_response)
        raw = webob.Request(environ).body
        environ['wsgi.input'] = io.BytesIO(raw)
        asked = version.asked(
            environ.get('HTTP_OPENSTACK_API_VERSION'),
            environ.get('HTTP_X_OPENSTACK_NOVA_API_VERSION'))
        try:
            body = _parse(raw)
            new = body and self._rewritten(context, body, asked)
        except errors.Refusal as refusal:
            LOG.info('Server create of project %s refused: %s',
                     context.project_id, refusal)
            return _answer(refusal, asked)(environ, start_response)
        if not new:
            return self.application(environ, start_response)
        return self._forward(environ, start_response, new, asked)

    def _rewritten(self, context: Any, body: dict[str, Any],
                   asked: str) -> dict[str, Any] | None:
        """Return the new request, or None if it must stay as it is."""
        server = body['server']
        root = rewrite.find_root(server)
        settings = self.conf[opts.GROUP]
        flavor = self.facts.flavor(context, str(server.get('flavorRef')))
        image = None
        if root.image and asking.IMAGE in settings.sources:
            image = self.facts.image(context, root.image)
        found = asking.values(body, flavor and flavor.specs,
                              image and image.properties)
        if root.boot is rewrite.Boot.OTHER:
            if asking.HINT in found and asking.HINT in settings.sources:
                raise errors.BadRequest(
                    'The scheduler hint "feature" places the system disk, '
                    'but this server boots from a disk that exists or is '
                    'not made from an image. Leave the hint out, or boot '
                    'from an image.')
            return None
        ask = asking.decide(found, settings.sources)
        if ask is None or flavor is None:
            return None
        image = image or self.facts.image(context, root.image)
        if image is None:
            return None
        if version.needs_lift(asked):
            server = version.lift(server, asked)
        plan = rewrite.plan(server, root, ask, flavor.disk_gb, image)
        return {**body, 'server': self._placed(context, server, plan)}

    def _placed(self, context: Any, server: dict[str, Any],
                plan: rewrite.Plan) -> dict[str, Any]:
        """Return the server record with its volume type, within quota."""
        project = context.project_id
        volume_type = self.cinder.volume_type(plan.ask.expression, project)
        new = rewrite.apply(server, plan, volume_type.id)
        if self.conf[opts.GROUP].check_quota:
            least, most = rewrite.count_of(server)
            room = quota.fit(self.cinder.usage(project), volume_type.name,
                             rewrite.root_size(new), least, most)
            if room < most:
                new['max_count'] = room
        LOG.info('System disk of server %s: feature "%s" from %s, volume '
                 'type %s, %s GiB, project %s', server.get('name'),
                 plan.ask.expression, plan.ask.place, volume_type.name,
                 rewrite.root_size(new), project)
        return new

    def _forward(self, environ: dict[str, Any],
                 start_response: Callable[..., Any], body: dict[str, Any],
                 asked: str) -> Any:
        """Send the new request on, at a microversion that takes it."""
        raw = json.dumps(body).encode()
        environ['wsgi.input'] = io.BytesIO(raw)
        environ['CONTENT_LENGTH'] = str(len(raw))
        if not version.needs_lift(asked):
            return self.application(environ, start_response)
        needed = '{}.{}'.format(*version.NEEDED)
        environ['HTTP_OPENSTACK_API_VERSION'] = f'compute {needed}'
        environ['HTTP_X_OPENSTACK_NOVA_API_VERSION'] = needed

        def relabelled(status: str, headers: list[tuple[str, str]],
                       *rest: Any) -> Any:
            return start_response(status, _relabel(headers, asked), *rest)

        return self.application(environ, relabelled)


def _parse(raw: bytes) -> dict[str, Any] | None:
    """Return the body if it is one of a create, as far as can be told."""
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    if isinstance(body, dict) and isinstance(body.get('server'), dict):
        return body
    return None


def _relabel(headers: list[tuple[str, str]],
             asked: str) -> list[tuple[str, str]]:
    labels = {version.HEADER.lower(): f'compute {asked}',
              version.LEGACY_HEADER.lower(): asked}
    return [(name, labels.get(name.lower(), value))
            for name, value in headers]


def _answer(refusal: errors.Refusal, asked: str) -> webob.Response:
    """Return an error the way Nova writes its own."""
    response = webob.Response(
        json.dumps({_TITLES[refusal.status]: {
            'code': refusal.status, 'message': refusal.message}}),
        status=refusal.status, content_type='application/json',
        charset='UTF-8')
    response.headers[version.HEADER] = f'compute {asked}'
    response.headers[version.LEGACY_HEADER] = asked
    return response


def filter_factory(_global_conf: dict[str, str],
                   **_local_conf: str) -> Callable[[Any], FeatureDisks]:
    """Return what paste.deploy calls with the next application."""
    # Here, so that the filter can be used without a whole Nova around it.
    from nova_hooks import facts

    conf = cfg.CONF
    conf.register_opts(opts.OPTS, group=opts.GROUP)
    cinder = lookups.Cinder(conf)

    def make(application: Any) -> FeatureDisks:
        return FeatureDisks(application, conf, facts, cinder)

    return make
