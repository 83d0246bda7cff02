# SPDX-License-Identifier: Apache-2.0
"""Empty a backend, or share loads anew: many volumes moved, one plan.

Cinder moves each volume; this room decides which, where to and in which
order, keeps the books in a file, and follows what becomes of them. Decisions
(:mod:`model`, :mod:`obstacles`, :mod:`planning`, :mod:`follow`) are pure.
Needs Cinder's REST API only, like the openstack client's commands.
"""
