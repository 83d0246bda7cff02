# SPDX-License-Identifier: Apache-2.0
"""System disks follow the feature that a server create carries.

An api-paste filter turns such a request into one that boots from a volume
which Cinder places. :mod:`nova_hooks.filter` is the WSGI side; everything it
decides stands in the pure modules ``asking``, ``rewrite``, ``version``,
``types`` and ``quota``, and what it looks up goes through ``lookups``.
"""
