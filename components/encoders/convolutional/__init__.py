"""Small convolutional networks, and the decoder that mirrors one of them."""
