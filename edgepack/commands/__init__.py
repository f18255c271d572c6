"""The commands of `edgepack`, one file each: arguments in, a call, a result printed."""
