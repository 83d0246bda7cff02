# SPDX-License-Identifier: Apache-2.0
"""One module per tool; each parses it and bounds it by a deadline."""
