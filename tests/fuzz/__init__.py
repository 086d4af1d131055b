"""Fuzzing: every reader gets damaged files. It may read them or raise our error, nothing else."""
