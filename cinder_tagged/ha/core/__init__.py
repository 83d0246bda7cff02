# SPDX-License-Identifier: Apache-2.0
"""Pure decisions: no clocks, sockets, files or threads."""
