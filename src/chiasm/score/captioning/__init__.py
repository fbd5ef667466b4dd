"""Scores of captions against reference captions, from files."""
