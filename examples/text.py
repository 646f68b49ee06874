"""A list of questions, and a table of answers. `--demo` needs no key: the answers are made up."""

import csv
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from flows.infer import infer

QUESTIONS = ["What is the capital of Korea?", "수도가 서울인 나라는?", "Name three prime numbers."]

with TemporaryDirectory() as folder:
    data = Path(folder) / "questions.csv"
    with data.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["question"], *([question] for question in QUESTIONS)])
    result = infer(dataset=str(data), text_column="question", demo="--demo" in sys.argv)

print(result)
print(result.dataframe()[["input_query", "response"]].to_string())
