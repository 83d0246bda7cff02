# SPDX-License-Identifier: Apache-2.0
"""Pure decisions of fencing: no processes, files, sockets or clocks."""
