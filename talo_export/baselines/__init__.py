"""What else one could do with the same few items: adapters, examples in context, calibration."""
