"""Nets only: students, teachers, heads, weights, complexity."""
