"""What others see: the model card, the report and the upload."""
