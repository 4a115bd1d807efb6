"""Read what each page shows. Knows the API alone: neither HTML nor a web server.

* `chain_source`: the calls of the API that are made;
* `chain_reader` and `campaign_page_reader`: what each page shows, as `view_models`;
* `table_pages`: the pages of long tables;
* `round_utilities`: how good the model of each round is;
* `task_notes`: what to know of a task's labels before reading its values;
* `chain_follower`: follows the event stream once for all pages; `payment_index`: the payments of
  each address that it heard of;
* `chain_search` and `search_query`: from a text to a page.
"""
