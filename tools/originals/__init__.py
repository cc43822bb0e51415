"""What the notebooks in notebooks/originals say: one text for each demo of VISIT, BertViz and tta-paper.

`tools/make_originals.py` writes the notebooks and the table of their README from this, so that what many of them share
(how to load a model, what it needs, how a view differs from the original's) stands once.
"""
