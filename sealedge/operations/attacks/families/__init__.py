"""The attacks, one file a family. Each is a name, a goal and two functions: one for each target."""
