# SPDX-License-Identifier: Apache-2.0
"""A platform that follows its role, on real Ceph and real containers."""
