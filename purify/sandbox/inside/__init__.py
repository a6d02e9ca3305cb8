"""What runs inside the sandbox, on the standard library alone: keeper, PID 1 of a call, and the program's runner."""
