# SPDX-License-Identifier: Apache-2.0
"""Effects: etcd, datagrams, the kernel, services, the wire."""
