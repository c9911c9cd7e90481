"""What else one could do with the same items: PEFT methods under the same budget."""
