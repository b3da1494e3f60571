"""Data sets that need no network: drawn, synthesised, or shipped with a package."""
