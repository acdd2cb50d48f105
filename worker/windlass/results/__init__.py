"""Results: how outcomes are encoded, kept, waited for and read. The handle is in `handle`."""
