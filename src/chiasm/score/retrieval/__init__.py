"""Ranked results against what is relevant, and pictures against texts in both directions."""
