"""Rendering through Blender."""
