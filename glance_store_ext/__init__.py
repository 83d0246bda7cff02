# SPDX-License-Identifier: Apache-2.0
"""Images follow their feature: a Glance store on volumes of Cinder.

:mod:`glance_store_ext.store` is the driver, :mod:`glance_store_ext.filter`
an api-paste filter beside it. ``wish``, ``locations`` and ``leftovers``
are pure; ``volumes`` speaks with Cinder, ``clusters``, ``writing`` and
``reading`` with Ceph, ``records`` with Glance's own database.
"""
