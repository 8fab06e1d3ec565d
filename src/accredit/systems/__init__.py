"""Systems that agents may be given: manifests, operations, tool schemas."""
