"""Common corruptions of images (Hendrycks & Dietterich, 2019)."""
