# SPDX-License-Identifier: Apache-2.0
"""``cinder-tagged metrics``: clusters, tags and shares for Prometheus.

:mod:`figures` decides what is told, from the same reading of Cinder's answers
as the client's commands; :mod:`cli` asks Cinder and serves.
"""
