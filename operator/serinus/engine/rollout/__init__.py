"""The decision core: spec, last status and observation in, next status and actions out."""
