"""A local server with the surface of TensorFlow Serving."""
