"""Distillation losses: pure functions that do not know each other."""
