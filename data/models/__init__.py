"""The shipped model files, installed as `cnaps_rag.models` and read through `importlib.resources`."""
