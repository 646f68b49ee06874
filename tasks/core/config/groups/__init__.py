"""The parameters of a run, by what they are about; `parameters.py` puts them together."""
