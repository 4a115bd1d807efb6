"""Render pages: pure functions from what is shown to text. Nothing here waits or calls a node.

* `page_renderer`: HTML, with the templates of this folder;
* `chain_plots`, `chain_words`: the plots and the words in it;
* `failure_pages`: why a page cannot be shown;
* `payment_csv`: payments as a table for spreadsheets.
"""
