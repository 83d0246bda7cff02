# SPDX-License-Identifier: Apache-2.0
"""The control role and its access address, held by one node at a time."""
