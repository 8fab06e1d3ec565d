"""Systems and agents to try Accredit with."""
