# SPDX-License-Identifier: Apache-2.0
"""The platform on emulated machines, with the kernel's own clients."""
