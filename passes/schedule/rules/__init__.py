"""One kernel family per file; `fallback` takes what no other rule does."""
