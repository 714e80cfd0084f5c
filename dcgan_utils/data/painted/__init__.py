"""The two embedded collections, painted on first use."""
