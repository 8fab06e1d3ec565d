"""How fast Accredit is, and where the time goes; `bench/run NAME` runs one."""
