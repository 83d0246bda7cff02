# SPDX-License-Identifier: Apache-2.0
"""Two machines with a shared SAN, in QEMU, without KVM.

Real kernels, device-mapper, multipath, iSCSI, sanlock and lvmlockd; built
from Debian's packages once, then started from a saved state in seconds.
"""
