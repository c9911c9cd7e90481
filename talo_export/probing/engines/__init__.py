"""Ways to carry a sweep out. Every one gives what `naive` gives; they differ in cost alone."""
