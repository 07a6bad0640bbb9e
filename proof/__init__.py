"""The ten-minute proof: a run that is killed again and again ends as if nothing had happened."""
