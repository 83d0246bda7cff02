# SPDX-License-Identifier: Apache-2.0
"""Volume types for first-level features, kept without an operator's hand.

:mod:`plan` decides, purely, what to make and what to leave alone;
:mod:`keeper` carries it out in Cinder's database.
"""
