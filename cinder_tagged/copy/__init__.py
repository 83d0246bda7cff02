# SPDX-License-Identifier: Apache-2.0
"""Copying images between Ceph clusters, once per image and cluster.

``core`` decides (extents, zero runs, the life of a seed); the rest binds
those decisions to librados, librbd and processes. Nothing here knows
Cinder.
"""
