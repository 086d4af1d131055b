"""Bundled sample data: the on-device assistant intents that the quick start trains on."""
