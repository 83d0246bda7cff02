# SPDX-License-Identifier: Apache-2.0
"""Pure decisions about journalled operations; no Cinder, no clock."""
