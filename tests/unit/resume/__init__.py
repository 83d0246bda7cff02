# SPDX-License-Identifier: Apache-2.0

from cinder import objects

# Cinder's managers name them when they are imported.
objects.register_all()
