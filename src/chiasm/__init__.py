"""Chiasm builds, trains, examines and serves vision-language models, and tells you where they go blind."""

__version__ = "0.1.0"
