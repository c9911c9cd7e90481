"""What the scores mean: selection, paired inference and plots, as pure functions of scores."""
