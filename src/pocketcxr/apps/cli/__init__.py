"""The pocketcxr command: one file a command, heavy imports inside."""
