"""The promises of docs/security.md, each with its proof."""
