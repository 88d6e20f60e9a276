"""Recipes that make the studio bundle from nothing but rendered synthetic heads (never packaged)."""
