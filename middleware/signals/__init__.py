"""One file, one class, one backend: each reads an Exchange when it begins and when it ends."""
