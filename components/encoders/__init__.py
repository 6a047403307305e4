"""Networks that turn images into features, and the heads on top of them."""
