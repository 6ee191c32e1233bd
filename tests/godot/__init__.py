"""The Godot addon in the real engine, against the real backend."""
