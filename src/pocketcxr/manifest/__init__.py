"""The table of images and the table of regions: schema, readers (sources), labels, splits."""
