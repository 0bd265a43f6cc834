"""Text in pictures: reads it with rapidocr, in a process of its own."""
