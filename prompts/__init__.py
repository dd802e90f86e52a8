"""The prompt files, installed as `cnaps_rag.prompts` and read through `importlib.resources`."""
