"""pocketcxr: small, explained chest X-ray classifiers distilled from large ones. Research use only."""
