"""What the notebooks show and ask: shape tables, figures, explorers, exercises and their checks.

The detector imports nothing of it.
"""
