"""One reader a data set; readers do not know each other."""
