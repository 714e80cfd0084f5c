"""Many runs: grids, comparison, claims, theory, trials, benchmark."""
