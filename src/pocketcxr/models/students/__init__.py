"""Students written here; all others come from timm by name."""
