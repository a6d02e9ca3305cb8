"""The `purify` command: parse, call one library function, print."""
