# SPDX-License-Identifier: Apache-2.0
"""What reads files, asks librados and connects to clusters."""
