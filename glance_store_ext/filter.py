# SPDX-License-Identifier: Apache-2.0
"""The api-paste filter beside the driver.

In glance-api-paste.ini, right before ``rootapp`` (behind ``context``) in
the pipelines in use::

    [filter:feature_images]
    paste.filter_factory = glance_store_ext.filter:filter_factory

It does two things that a driver cannot. Images with the property
``feature`` go to the store named in ``[feature_images] store`` where the
client chose none. And it answers ``GET /v2/info/stores/detail``, for which
Glance has a table of the store types that it ships and no room for others.
"""

from collections.abc import Callable
import re
from typing import Any

from glance.api.v2 import discovery
from glance.common import wsgi
import glance_store
from oslo_config import cfg
from oslo_log import log as logging
import webob

from glance_store_ext import opts
from glance_store_ext import records
from glance_store_ext import store as store_mod
from glance_store_ext import wish

LOG = logging.getLogger(__name__)

_UPLOAD = re.compile(r'/v2/images/([^/]+)/(file|import)/?')
_DETAIL = re.compile(r'/v2/info/stores/detail/?')
_CHOICE = 'X-Image-Meta-Store'


def tagged(backends: dict[str, str]) -> list[str]:
    """Return the ids of the stores of our type."""
    return [ident for ident, kind in backends.items()
            if kind == store_mod.TYPE]


class Details(discovery.InfoController):  # type: ignore[misc]
    """Glance's own answer for its own types, and ours for ours."""

    def get_stores(self, req: Any) -> dict[str, Any]:
        """Leave our stores out: the base class cannot describe them."""
        ours = tagged(cfg.CONF.enabled_backends)
        return {'stores': [entry for entry
                           in super().get_stores(req)['stores']
                           if entry['id'] not in ours]}

    def get_stores_detail(self, req: Any) -> dict[str, Any]:
        """Return all stores in the order of the configuration."""
        # The base class checks the policy before it looks at any store.
        known = {entry['id']: entry for entry
                 in super().get_stores_detail(req)['stores']}
        for entry in super().get_stores(req)['stores']:
            if entry['id'] not in known:
                known[entry['id']] = entry | self._ours(entry['id'])
        return {'stores': [known[ident] for ident
                           in cfg.CONF.enabled_backends if ident in known]}

    @staticmethod
    def _ours(ident: str) -> dict[str, Any]:
        found = glance_store.get_store_from_store_identifier(ident)
        return {'type': store_mod.TYPE, 'weight': found.weight,
                'properties': found.properties}


class FeatureImages:
    """WSGI middleware; everything else goes through as it came."""

    def __init__(self, application: Any, conf: cfg.ConfigOpts):
        self.application = application
        self.conf = conf
        self._details = wsgi.Resource(
            Details(), None, discovery.ResponseSerializer())

    def __call__(self, environ: dict[str, Any],
                 start_response: Callable[..., Any]) -> Any:
        """Serve one request."""
        path = environ.get('PATH_INFO', '')
        method = environ.get('REQUEST_METHOD')
        if (method == 'GET' and _DETAIL.fullmatch(path)
                and self.conf.enabled_backends):
            environ['wsgiorg.routing_args'] = (
                (), {'action': 'get_stores_detail'})
            return self._details(environ, start_response)
        upload = _UPLOAD.fullmatch(path)
        if upload and method in ('PUT', 'POST'):
            self._route(webob.Request(environ), upload[1], upload[2])
        return self.application(environ, start_response)

    def _route(self, request: webob.Request, image_id: str,
               action: str) -> None:
        """Choose the store where the client chose none."""
        wanted = self.conf[opts.FILTER_GROUP].store
        context = getattr(request, 'context', None)
        if not wanted or context is None or _CHOICE in request.headers:
            return
        if action == 'import' and wish.chooses_stores(request.body):
            return
        feature = records.of(context, image_id).feature
        if feature is not None:
            LOG.info('Image %s asks for "%s" and goes to the store %s',
                     image_id, feature, wanted)
            request.headers[_CHOICE] = wanted


def filter_factory(_global_conf: dict[str, str],
                   **_local_conf: str) -> Callable[[Any], FeatureImages]:
    """Return what paste.deploy calls with the next application.

    :raises ValueError: the option ``store`` names no store of our type
    """
    conf = cfg.CONF
    conf.register_opts(opts.FILTER_OPTS, group=opts.FILTER_GROUP)
    wanted = conf[opts.FILTER_GROUP].store
    if wanted and wanted not in tagged(conf.enabled_backends):
        raise ValueError(
            f'[{opts.FILTER_GROUP}] store = {wanted}: enabled_backends has '
            f'no such store of the type "{store_mod.TYPE}"; add '
            f'"{wanted}:{store_mod.TYPE}" there or name another')

    def make(application: Any) -> FeatureImages:
        return FeatureImages(application, conf)

    return make
