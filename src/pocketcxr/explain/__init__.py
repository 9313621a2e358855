"""Where a probability comes from: one-pass maps, and the libraries that serve as oracles."""
