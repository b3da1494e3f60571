"""What the targets of every task agree on."""

from __future__ import annotations

IGNORE_LABEL = 255  # of mask pixels that belong to no class, and of those outside a moved or padded image
