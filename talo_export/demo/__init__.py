"""Works offline: a small trained vision-language model in a stock architecture, and its tasks."""
