"""One readable file a stage: config in, run directory out. The only place where rooms are wired together."""
