"""Judgement by people and by models: ratings, preferences, judges, and tables of aspects."""
