"""How files are laid out: where images lie, in which format, and which tables tell of them."""
