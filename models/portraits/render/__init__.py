"""Renders labelled portraits of people who do not exist: the world whose truth is known."""
