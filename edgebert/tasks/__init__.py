"""What differs from task to task: head, loss, metrics and decoding, one file a task."""
