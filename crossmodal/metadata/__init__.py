"""Where and when a picture was taken and by which camera: EXIF, XMP, file names, and an offline gazetteer."""
