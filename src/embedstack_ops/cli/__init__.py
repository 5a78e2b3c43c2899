"""The `embedstack` command. Each module holds one subcommand."""
