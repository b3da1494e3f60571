"""Pictures: one file a kind. Drawn on matplotlib figures without a display."""
