# SPDX-License-Identifier: Apache-2.0
"""What a platform's keeper decides: pure, and told everything it knows."""
