"""run.json and what is made of it: terminal table, HTML page, comparison of two runs."""
