# SPDX-License-Identifier: Apache-2.0
"""The project at work, step by step; run by tools/demo."""
