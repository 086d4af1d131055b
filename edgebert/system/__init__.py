"""The terminal, the file system and native libraries: progress, atomic writes, log noise."""
