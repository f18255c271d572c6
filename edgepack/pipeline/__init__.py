"""From edgepack.toml to reports: stages with inputs, an artefact and a digest, cached."""
