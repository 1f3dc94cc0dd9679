"""One file a technology: what fills the ports."""
