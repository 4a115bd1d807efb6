"""Render pages for people: what the explorer and the report of a devnet have in common.

Decides how amounts, values, hashes and times read, how plots are laid out, and how pages look. It
knows neither a chain nor a devnet: who calls it says what is shown.

* `page_formats`: numbers, hashes and times as text;
* `svg_plots`: the geometry of plots, in SVG user units;
* `task_remarks`: what a reader should know of a task's measure, as sentences;
* `template_environment`: Jinja2 with these formats, and with the templates of this folder: the
  style sheet and the macros of plots and tables.
"""
