"""A list of questions, and a table of answers. `--demo` needs no key: the answers are made up."""

import sys
from pathlib import Path

from flows.infer import infer

QUESTIONS = Path(__file__).with_name("questions.csv")

result = infer(dataset=str(QUESTIONS), text_column="question", demo="--demo" in sys.argv)
print(result)
print(result.dataframe()[["input_query", "response"]].to_string())
