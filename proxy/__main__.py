"""`python -m proxy` is the command `groq-proxy`."""

from proxy.cli import main

main()
