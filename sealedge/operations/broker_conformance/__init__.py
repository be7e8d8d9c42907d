"""What a broker really does, tried out: for `sealedge doctor --broker URL`."""
