# SPDX-License-Identifier: Apache-2.0
"""``openstack volume feature ...``: a plugin of the openstack client.

The commands read Cinder's REST API and judge with the same pure code as the
scheduler. They need neither Cinder nor Ceph on the machine where they run.
"""
