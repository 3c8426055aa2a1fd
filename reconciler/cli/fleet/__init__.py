"""Commands on several clusters: one turn each, in waves, on threads or dask workers."""
