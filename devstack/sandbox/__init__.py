# SPDX-License-Identifier: Apache-2.0
"""A real OpenStack with real Ceph clusters, on one machine, for a while.

One module per service; every process of a sandbox listens on 127.0.0.1
on ports nobody else uses, keeps its files below one directory and dies
with the process that started it.
"""
