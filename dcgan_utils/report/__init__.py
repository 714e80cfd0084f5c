"""Notebooks to pages: the report, its site, the playground, the doctor."""
