"""Chooses how weights and activations are stored: recipes, calibration, sensitivity analysis."""
