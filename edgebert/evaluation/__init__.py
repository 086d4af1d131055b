"""The predict interface of folders and files, metrics of labelled data, and the semantic index."""
