#!/bin/sh
# Backs up what n8n has, and brings it back, by n8n's own export and by restic.
#
#   n8n-backup.sh backup     export, then store; from cron or a timer
#   n8n-backup.sh restore    fetch, then import; into a running or a new n8n
#
# In containers, where n8n and restic are two images, one half at a time: export, store, fetch, import.
#
# What is in it: workflows, credentials (encrypted, as n8n keeps them), and n8n's encryption key, without which
# credentials are worth nothing; restic encrypts all of it. What is not: accounts, executions, data tables. Keep
# restic's password elsewhere: without it nothing comes back.
#
#   BACKUP_FOLDER            where exports lie between n8n and restic; n8n's and nobody else's
#   BACKUP_KEY=no            leave n8n's encryption key out; then keep it elsewhere
#   BACKUP_KEEP              what restic keeps, as its `forget` says it
#   BACKUP_SNAPSHOT          what is fetched, `latest` unless it is named
#   N8N_USER_FOLDER, N8N_ENCRYPTION_KEY, N8N_ENCRYPTION_KEY_FILE and what else n8n reads
#   RESTIC_REPOSITORY, RESTIC_PASSWORD_FILE and what else restic reads
set -eu
umask 077

folder=${BACKUP_FOLDER:?where exports lie}
keep=${BACKUP_KEEP:---keep-daily 14 --keep-weekly 8 --keep-monthly 12}

say() { printf '%s\n' "n8n-backup: $*"; }
fail() { say "$*" >&2; exit 1; }

# The key that n8n encrypts with: what it is told, or what it has made for itself.
key_of_n8n() {
    config=${N8N_USER_FOLDER:-$HOME}/.n8n/config
    if [ -n "${N8N_ENCRYPTION_KEY:-}" ]; then
        printf '%s' "$N8N_ENCRYPTION_KEY"
    elif [ -n "${N8N_ENCRYPTION_KEY_FILE:-}" ]; then
        tr -d '[:space:]' < "$N8N_ENCRYPTION_KEY_FILE"
    elif [ -r "$config" ]; then
        sed -n 's/.*"encryptionKey": *"\([^"]*\)".*/\1/p' "$config"
    fi
}

# n8n fails where there is nothing to export, and that is none.
export_one() {
    what=$1
    mkdir -p "$folder/new/$what"
    if ! said=$(n8n "export:$what" --backup --output="$folder/new/$what" 2>&1); then
        case $said in
            *"No workflows found"* | *"No credentials found"*) say "there are no ${what}s" ;;
            *) fail "n8n export:$what: $said" ;;
        esac
    fi
}

do_export() {
    mkdir -p "$folder"
    rm -rf "$folder/new"
    export_one workflow
    export_one credentials
    n8n --version | tail -n 1 > "$folder/new/release"
    if [ "${BACKUP_KEY:-yes}" != no ]; then
        key=$(key_of_n8n)
        [ -n "$key" ] || fail "n8n's encryption key is not to be found: set N8N_ENCRYPTION_KEY_FILE, or BACKUP_KEY=no"
        printf '%s' "$key" > "$folder/new/encryption_key"
    fi
    # All of it, or what was there before.
    rm -rf "$folder/n8n"
    mv "$folder/new" "$folder/n8n"
    say "exported $(count workflow) workflows and $(count credentials) credentials"
}

count() { find "$folder/n8n/$1" -name '*.json' | wc -l | tr -d ' '; }

do_store() {
    [ -d "$folder/n8n" ] || fail "nothing has been exported to $folder"
    restic cat config > /dev/null 2>&1 || restic init
    # By its own name, so that every host and container goes on with the same line of backups.
    (cd "$folder" && restic backup --host n8n --tag n8n n8n)
    # shellcheck disable=SC2086 # several words
    restic forget --host n8n --tag n8n --prune $keep
    restic check
    say "stored"
}

do_fetch() {
    mkdir -p "$folder"
    rm -rf "$folder/n8n"
    restic restore "${BACKUP_SNAPSHOT:-latest}" --host n8n --tag n8n --target "$folder"
    [ -d "$folder/n8n" ] || fail "the backup has no exports in it"
    say "fetched $(count workflow) workflows and $(count credentials) credentials of n8n $(cat "$folder/n8n/release")"
}

do_import() {
    [ -d "$folder/n8n" ] || fail "nothing has been fetched to $folder"
    if [ -r "$folder/n8n/encryption_key" ]; then
        kept=$(cat "$folder/n8n/encryption_key")
        key=$(key_of_n8n)
        if [ -z "$key" ]; then
            # A new n8n takes the key that it is first told.
            N8N_ENCRYPTION_KEY=$kept
            export N8N_ENCRYPTION_KEY
        elif [ "$key" != "$kept" ]; then
            fail "this n8n has another encryption key than the backup: it could not read the credentials. Give it the backup's: $folder/n8n/encryption_key"
        fi
    fi
    for what in credentials workflow; do
        [ "$(count $what)" = 0 ] || n8n "import:$what" --separate --input="$folder/n8n/$what"
    done
    rm -rf "$folder/n8n"
    say "imported; every workflow is switched off: look at them, then publish what is to run"
}

case ${1:-} in
    # One after the other and not with `&&`, which would have a failure within go unnoticed.
    backup)
        do_export
        do_store
        rm -rf "$folder/n8n"
        ;;
    restore)
        do_fetch
        do_import
        ;;
    export) do_export ;;
    # What is stored is not left lying about: the key is in it.
    store)
        do_store
        rm -rf "$folder/n8n"
        ;;
    fetch) do_fetch ;;
    import) do_import ;;
    *) fail "one of: backup, restore; export, store, fetch, import" ;;
esac
