"""Evaluation of encoders and sparse models: retrieval figures, tables and reports."""
