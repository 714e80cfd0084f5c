"""Collections: a name, folder or zip in; one checked uint8 tensor and its report out."""
