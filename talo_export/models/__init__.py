"""What is cut: loading a model, finding its decoder layers, switching one off and proving it."""
