"""Figures: each draws one frozen result to PNG (and SVG), without pyplot's global state."""
