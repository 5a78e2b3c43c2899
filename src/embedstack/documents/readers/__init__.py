"""Document readers: one module per format, the choice of a reader by media type, and the reader process."""
