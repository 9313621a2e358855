"""Simulated frontal chest radiographs with known findings, known boxes and known label noise."""
