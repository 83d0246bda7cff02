# SPDX-License-Identifier: Apache-2.0
"""Connections to Ceph clusters: bounded, shared, watched.

Nothing here knows Cinder, and nothing here can wait for ever: each
connection is opened with a limit on every kind of call.
"""
