"""The command `multichannel`."""
