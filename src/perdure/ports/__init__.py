"""What Perdure needs from the world: one Protocol a file, no behaviour."""
