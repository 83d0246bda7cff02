# SPDX-License-Identifier: Apache-2.0
"""The tools that a platform stands on, one each, all with deadlines."""
