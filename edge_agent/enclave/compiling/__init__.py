"""What modules may use, and how they become machine code, in a process that a hostile one may crash."""
