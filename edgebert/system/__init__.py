"""Terminal progress, plurals, atomic file writes and the log noise of native libraries."""
