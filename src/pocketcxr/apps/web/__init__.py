"""The page that runs a bundle in the browser, its server, and its export as a static site."""
