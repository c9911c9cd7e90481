"""What is asked: items, tasks, where they come from, how they are phrased, read and split."""
