"""Torch side of the data: image cache, batches, augmentation."""
