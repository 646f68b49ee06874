"""Handwritten digits of a data set on the Hub: which are read wrong? It needs a key."""

from flows.infer import infer

result = infer(
    dataset="ylecun/mnist",
    limit=20,
    shuffle=1,
    image_column="image",
    prompt_template="{{ image }} Which digit is this? The digit alone.",
    id_column="label",
)
print(result)
table = result.dataframe()
print(table[table["response"].str.strip() != table["id"]])
