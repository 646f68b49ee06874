"""Files of data, read as they are written: every cell digit for digit, or refused with the file, line and reason.

suffixes      which files are data, by their names
compression   the bytes of a file, compressed or not
encodings     the text of a file: UTF-8, or what was recognised or asked for
delimited, escaped, json_rows, text_lines, excel    the rows of one file, in batches
staging       batches to an Arrow file, kept by content
arrow_files   Arrow and Feather files
archives      zip and tar, unpacked once
"""
