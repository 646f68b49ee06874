"""What `gemini-infer` does beside a run: lists, collects, writes again, shows. Sends nothing that costs."""
