"""Guards and runnables for loops and chains that other programs run."""
