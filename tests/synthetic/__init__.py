"""Vendor-shaped evidence under made-up roots: whoever clones the project can test every verdict (no hardware)."""
