"""Works offline: a small trained vision-language model in a stock architecture, and its tasks.

The model is trained by `examples/demo_model/`; nothing here needs torch.
"""
