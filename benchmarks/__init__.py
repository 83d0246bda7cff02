# SPDX-License-Identifier: Apache-2.0
"""Measurements beside a peer: ``benchmarks/run NAME``."""
