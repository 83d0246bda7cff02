# SPDX-License-Identifier: Apache-2.0
"""Cinder's RBD driver, taught tags, kept connections and faults.

``volume_driver = cinder_tagged.volume.driver.TaggedRBDDriver``
"""
