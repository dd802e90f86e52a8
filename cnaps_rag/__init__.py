"""cnaps_rag."""
