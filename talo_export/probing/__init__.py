"""How it is scored: the layer sweep, its scorers, its batches and its journal."""
