"""The one training loop and what it needs; the only room that talks to Fabric."""
