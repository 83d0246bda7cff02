# SPDX-License-Identifier: Apache-2.0
"""The core in a simulated cloud, with faults from a seed."""
