"""What the security study measures, and the tables that it writes.

The measurements themselves are in `fedcoin.testing.measurements`. This package decides with which
numbers they run, and how their results are shown in docs/THREATS.md.

* `measurement_jobs`: all measurements, as jobs that can run side by side;
* `miner_tables`, `reply_tables`, `participant_tables`, `difficulty_tables`: one function for each
  table;
* `document_tables`: puts tables between their marks in the document;
* `markdown_table`: tables in Markdown.
"""
