"""Scores, ranking metrics, patient-level bootstrap, localisation, reports. Knows no model."""
