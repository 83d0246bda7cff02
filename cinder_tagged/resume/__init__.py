# SPDX-License-Identifier: Apache-2.0
"""Accepted requests that survive the death of who works on them.

A journal of casts: what Cinder's API sends to scheduler and volume services
is written down first, claimed by whoever works on it, and closed when it is
done. When a worker is dead (and fenced, so that it cannot write late) others
claim what it left and do it again.
"""
