"""Small pictures of a data set's images, for the pages: made from the images once, kept in the workspace."""
