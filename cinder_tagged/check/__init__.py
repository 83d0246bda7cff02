# SPDX-License-Identifier: Apache-2.0
"""``cinder-tagged check``: is this node ready, and do all nodes agree?

Adapters read files and ask clusters, and put what they saw into one
:class:`~cinder_tagged.check.model.Site`. Rules turn a site into findings and
touch nothing. No option that holds a secret gets into a site.
"""
