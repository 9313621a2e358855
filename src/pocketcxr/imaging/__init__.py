"""Radiographs in: decoding, the one preprocessing, geometry between original and model pixels, overlays."""
