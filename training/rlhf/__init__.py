"""The engine: Factually Augmented RLHF in PyTorch (Sun et al., arXiv 2309.14525).

It knows nothing of Django, Celery or a database: ``python -m training.rlhf`` reads one run
directory and writes only there. Importing this package does not import torch; only
``training.rlhf.contract`` is meant for the rest of FactLoop.
"""
