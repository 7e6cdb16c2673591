"""The report's pages: collected from manifests, drawn as charts, written from templates."""
