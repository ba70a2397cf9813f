"""Policies, their training as populations, classical strategies, selection and export."""
