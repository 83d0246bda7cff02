# SPDX-License-Identifier: Apache-2.0
"""Pure decisions of copying: no Ceph, no processes, no clocks."""
