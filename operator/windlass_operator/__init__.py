"""The Windlass operator: TaskQueue and WorkerPool resources into workers sized by their work."""
