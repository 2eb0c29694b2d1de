#!/bin/sh
# Portcullis beside nginx and HAProxy, in about a minute: see README.md. Usage: run.sh BINARY [--help]
exec /usr/bin/python3 "$(dirname "$0")/run.py" "$@"
