# SPDX-License-Identifier: Apache-2.0
"""A platform, in a container, that follows its volume and its role.

``core`` decides, ``adapters`` act, and the keeper, a process beside the
agent, brings both together.
"""
