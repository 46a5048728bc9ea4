"""Models: an encoder, a decoder and heads put together; what is pretrained and what trains."""
