"""What calls of factories do: batches, hooks, tasks, cancellation."""
