"""Torture: every stage is killed at random moments and resumed; disks fill up; memory ends."""
