"""Inputs that are wrong, each of which ends in one clear error, and in a home that is as it was."""
