"""What must hold of every run, whatever befell it. Each invariant looks at the ledger and says what broke it."""
