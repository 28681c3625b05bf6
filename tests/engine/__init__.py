"""Tests of the engine's driver."""
