"""The explorer: a web server whose pages show a chain, read through a node's public API.

It decides what each page shows and how it is found, and knows no more than any other client of the
API. It keeps no files. What a chain says is text: no page interprets it as HTML.

* `reading`: what each page shows, and who is paid, from the API and the event stream;
* `pages`: from what is shown to HTML and CSV;
* `serving`: the web server.
"""
