"""The terminal browser behind `purify inspect`. Importing this costs nothing; `app.py` needs Textual."""
