"""Generated scenes of shapes with known content: their description, drawing, captions and queries."""
