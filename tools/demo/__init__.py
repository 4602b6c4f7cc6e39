"""`ix demo`: a real sentence-embedding model, compiled and measured."""
