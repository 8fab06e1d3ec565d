"""Tables, transactions, the one writer thread and the change feed."""
