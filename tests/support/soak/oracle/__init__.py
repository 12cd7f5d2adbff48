"""The oracle: written from the design and the documentation, without reading the decision engine."""
