"""Training methods: what a batch of images becomes a loss by."""
