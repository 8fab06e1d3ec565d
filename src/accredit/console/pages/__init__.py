"""One file a page: it reads what the page shows and renders its template."""
