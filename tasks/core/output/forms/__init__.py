"""The forms that a result is written in, a module each: a file is begun in a draft, fed some rows at a time, closed."""
