"""How pages draw it: Vega-Lite charts and their colours."""
