"""Recipe D's views: windows, and RandAugment as noise."""
