"""Images to views: decoding, augmentation, and keyed randomness."""
