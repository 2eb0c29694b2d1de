#!/bin/sh
# Serves examples/quickstart.conf from a state of its own below the build folder, and says what to
# try. Ctrl-C stops it.
set -eu
binary=$(realpath "$1")
root=$(realpath "$(dirname "$0")/..")
run="$(dirname "$binary")/run"
examples="$root/examples"
mkdir -p "$run"

# The worker runs as another user when root starts us, and must be able to read what it serves.
copy=""
if [ "$(id -u)" = 0 ]; then
    user=nobody
    id portcullis >/dev/null 2>&1 && user=portcullis
    if ! setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups \
        test -r "$examples/quickstart.conf" 2>/dev/null; then
        copy=$(mktemp -d /tmp/portcullis-run-XXXXXX)
        cp -r "$examples/." "$copy"
        chmod -R a+rX "$copy"
        examples="$copy"
        echo "user $user may not read $root: serving a copy of its examples"
    fi
fi

{
    echo "# written by tools/run.sh"
    echo "state \"$run/state\""
    echo "control \"$run/control.sock\""
    echo "include \"$examples/quickstart.conf\""
} >"$run/portcullis.conf"

tell() {
    tries=0
    until "$binary" status --control "$run/control.sock" >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ "$tries" -lt 100 ] && kill -0 "$1" 2>/dev/null || return 0
        sleep 0.1
    done
    cat <<TEXT

Portcullis serves $root/examples/quickstart.conf. In another terminal:

    curl --cacert $run/state/ca/ca.pem https://localhost:8443/
    curl -i http://localhost:8080/              # redirects to HTTPS
    $binary status --control $run/control.sock
    edit $examples/quickstart.conf             # an included file is read again when it changes

or open https://localhost:8443/ in a browser (it warns: the local CA is installed nowhere).
One line for a server of your own: $binary proxy :9443 localhost:3000
Ctrl-C stops it.

TEXT
    [ -n "$copy" ] || return 0
    while kill -0 "$1" 2>/dev/null; do sleep 1; done
    rm -rf "$copy"
}

tell $$ &
exec "$binary" run -c "$run/portcullis.conf"
