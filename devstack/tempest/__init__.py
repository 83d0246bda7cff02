# SPDX-License-Identifier: Apache-2.0
"""Tempest on the sandbox: what passes with stock must pass with tags."""
