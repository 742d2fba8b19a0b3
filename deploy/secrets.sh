#!/bin/sh
# Makes the secrets of compose.yaml and compose.queue.yaml, those that are not there, and the folder of the backups.
# The folder of the secrets is its owner's alone; the files in it are mounted one by one, and read by the user of
# each container.
set -eu
cd "$(dirname "$0")"
mkdir -p secrets
chmod 700 secrets
# Once: afterwards it is its owner's, which may be another than who runs this.
[ -d repository ] || mkdir -m 700 repository
for name in encryption_key runners_token postgres_password redis_password restic_password; do
    if [ ! -e "secrets/$name" ]; then
        # 32 bytes of the kernel's randomness, as hexadecimal digits.
        od -An -vtx1 -N32 /dev/urandom | tr -d ' \n' > "secrets/$name"
    fi
    chmod 444 "secrets/$name"
done
# The user of n8n's image, who writes the backups.
if [ "$(id -u)" = 0 ]; then
    chown 1000:1000 repository
elif [ "$(id -u)" != 1000 ]; then
    echo "please run once: sudo chown 1000:1000 $(pwd)/repository" >&2
fi
echo "Keep copies of secrets/encryption_key and secrets/restic_password elsewhere: nothing else opens the data."
