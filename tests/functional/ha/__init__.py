# SPDX-License-Identifier: Apache-2.0
"""Functional tests of the HA agent, in network namespaces."""
