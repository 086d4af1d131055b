"""What `make matrix` runs: built wheels in empty environments of every supported Python."""
