"""One predict interface for folders and files, metrics of labelled data, and the semantic index."""
