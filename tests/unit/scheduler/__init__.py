# SPDX-License-Identifier: Apache-2.0
from cinder import objects

# Cinder's modules name these in their annotations.
objects.register_all()
