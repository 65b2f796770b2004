"""Measurements: what tools/benchmark.py runs and writes."""
