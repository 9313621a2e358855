"""The words: findings, study, prediction, errors. Nothing here imports anything from outside the standard library."""
