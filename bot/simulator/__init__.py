"""The incident simulator: episodes with a visible part and a sealed truth, on which investigations are scored.

An episode is drawn from a seed: a tenant with its lineage, four weeks of telemetry, a change log with decoys, one fault
(or a benign event) that travels through the lineage, and the alert it raises. Nothing here needs a network or a model.

>>> from bot.simulator.episode import generate
>>> generate(7).visible.alert == generate(7).visible.alert
True
"""
