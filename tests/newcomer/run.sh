#!/bin/sh
# The path of a newcomer: docs/first-steps.md, step by step, from a bare system to a certificate of a test CA
# and a first ban. Its blocks are taken from the page, so that it cannot say anything else than what is run.
#
# usage: run.sh PROGRAM N8N...      PROGRAM is n8n-gateway; N8N... is the command that starts n8n
#
# It needs unshare, curl, openssl and pebble. Nothing of the machine is changed: mounts and the network are its own.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
page=$here/../../docs/first-steps.md

if [ "${NEWCOMER_INSIDE:-}" != yes ]; then
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    NEWCOMER_INSIDE=yes NEWCOMER_FOLDER=$folder \
        unshare --map-root-user --mount --net --pid --fork --kill-child sh "$0" "$@"
    exit
fi

program=$1
shift
w=$NEWCOMER_FOLDER

say() { printf -- '-- %s\n' "$*"; }

fail() {
    printf 'FAILED: %s\n' "$*" >&2
    for log in gateway pebble n8n; do
        [ ! -f "$w/$log.log" ] || { printf -- '---- %s\n' "$log"; tail -n 40 "$w/$log.log"; } >&2
    done
    exit 1
}

# Waits until a command succeeds.
eventually() {
    what=$1
    shift
    for _ in $(seq 600); do
        if "$@" >/dev/null 2>&1; then return; fi
        sleep 0.2
    done
    fail "waited in vain: $what"
}

# The n-th block of the page that is for this script: its commands, with the addresses of this network.
block() {
    awk -v n="$1" '
        /^```sh no-run="tests\/newcomer/ { count++; inside = count == n; next }
        /^```$/ { inside = 0 }
        inside' "$page" | here
}

# 127.0.0.2 and .3 are the office, .9 is elsewhere: whatever is at 127.0.0.1 is this machine and never banned.
here() { sed -e 's/203\.0\.113\.7/127.0.0.3/g' -e 's|203\.0\.113\.0/24|127.0.0.2/31|g' -e 's/198\.51\.100\.7/127.0.0.9/g'; }

# Runs a block as whoever calls from an address.
run_from() { run_as "$1" "$(block "$2")"; }

run_as() {
    printf 'interface = "%s"\ncacert = "%s/root.pem"\n' "$1" "$w" >"$w/.curlrc"
    [ -n "$2" ] || fail "the page has no such block"
    printf '%s\n' "$2" | sed 's/^/   $ /'
    HOME=$w sh -eu -c "$2"
}

prepare() {
    ip link set lo up
    # What the steps write to is this script's own: /etc as it is, and empty folders.
    cp -a /etc "$w/etc" 2>/dev/null || true
    printf '127.0.0.1 n8n.example.com localhost\n' >"$w/etc/hosts"
    mount --bind "$w/etc" /etc
    for folder in /usr/local/bin /var/lib /run; do mount -t tmpfs tmpfs "$folder"; done
    mount -t proc proc /proc
    mkdir "$w/bin"
    cp "$program" "$w/bin/n8n-gateway"
    rm -rf /etc/n8n-gateway
    export PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin:$PATH
}

start_ca() {
    say "a CA"
    cd "$w"
    openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=authority -keyout ca.key -out ca.pem 2>/dev/null
    openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout pebble.key -out pebble.csr 2>/dev/null
    printf 'subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n' >pebble.ext
    openssl x509 -req -in pebble.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 1 -extfile pebble.ext -out pebble.pem 2>/dev/null
    cat >pebble.json <<EOF
{"pebble": {"listenAddress": "127.0.0.1:14000", "managementListenAddress": "127.0.0.1:15000",
 "certificate": "$w/pebble.pem", "privateKey": "$w/pebble.key", "httpPort": 80, "tlsPort": 443}}
EOF
    PEBBLE_VA_NOSLEEP=1 pebble -config pebble.json >pebble.log 2>&1 &
    eventually "pebble listens" curl -sf --cacert ca.pem https://localhost:15000/roots/0
    curl -sf --cacert ca.pem https://localhost:15000/roots/0 >root.pem
}

start_n8n() {
    say "n8n, prepared as in step 1"
    sed -n '/^```ini$/,/^```$/p' "$page" | grep = | sed 's/^/export /' >n8n.env
    . ./n8n.env
    N8N_USER_FOLDER=$w N8N_DIAGNOSTICS_ENABLED=false N8N_VERSION_NOTIFICATIONS_ENABLED=false "$@" >n8n.log 2>&1 &
    eventually "n8n starts" sh -c 'curl -sf http://127.0.0.1:5678/rest/settings | grep -q data'
}

# The page's first policy, with this network's addresses and the test CA.
write_policy() {
    policy=$(sed -n '/^```yaml$/,/^```$/p' "$page" | grep -v '```' | here)
    [ "$(printf '%s\n' "$policy" | wc -l)" = 5 ] || fail "the page's policy has other than five lines"
    directory="directories: [{ url: https://localhost:14000/dir, root: $w/ca.pem }]"
    printf '%s\n' "$policy" | sed "s|email: ops@example.com|&, $directory|" >/etc/n8n-gateway/policy.yaml
}

has_its_certificate() { n8n-gateway certs list --json | grep -q '"state": *"valid"'; }

expect() {
    printf '%s\n' "$2"
    [ "$1" = "$2" ] || fail "expected: $1"
}

prepare
start_ca
start_n8n "$@"

say "step 2: install, and write the policy"
cd "$w/bin"
run_from 127.0.0.2 1
cd "$w"
write_policy
run_from 127.0.0.2 2

say "step 3: run it"
run_from 127.0.0.2 3 >gateway.log 2>&1 &
eventually "a certificate" has_its_certificate
run_from 127.0.0.2 4 || say "status has something to say: n8n has no owner yet"
n8n-gateway certs list | grep -q Pebble || fail "the certificate is not the CA's"

say "step 4: from the office, and from elsewhere"
office=$(run_from 127.0.0.2 5 | tail -n 1)
expect 200 "$office"
elsewhere=$(run_from 127.0.0.9 6 | grep -v '\$')
printf '%s\n' "$elsewhere" | grep -q '^404$' || fail "the editor is open to strangers: $elsewhere"
printf '%s\n' "$elsewhere" | grep -q requestId && fail "the webhook was refused by the gateway: $elsewhere"
n8n-gateway status | grep -q "HAS NO OWNER" || fail "nobody says that n8n has no owner"

say "step 5: a first ban"
guesses=$(run_from 127.0.0.3 7 | grep -v '\$' | tr '\n' ' ')
expect "401 401 401 401 401 " "$guesses"
eventually "the ban" sh -c 'n8n-gateway bans list | grep -q 127.0.0.3'
if run_from 127.0.0.3 5 2>/dev/null | grep -q '^200$'; then fail "whoever is banned gets in"; fi
expect 200 "$(run_from 127.0.0.2 5 | tail -n 1)"
why=$(run_from 127.0.0.2 8)
printf '%s\n' "$why"
printf '%s\n' "$why" | grep -q 'jail     sign-in' || fail "bans why does not name the jail"
[ "$(printf '%s\n' "$why" | grep -c wrong_password)" -ge 5 ] || fail "bans why does not name the offences"
run_from 127.0.0.2 9
expect 200 "$(run_from 127.0.0.3 5 | tail -n 1)"

sed -n '/^```yaml part$/,/^```$/p' "$page" | grep -v '```' >>/etc/n8n-gateway/policy.yaml
eventually "the changed policy is in force" sh -c 'n8n-gateway status | grep -q "revision 2"'
run_from 127.0.0.3 7 >/dev/null
n8n-gateway bans list | grep -q 'nobody is banned' || fail "somebody of bans.never is banned"
say "done"
