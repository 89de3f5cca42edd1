/** The text in a vault's root: how a person with the recovery key and stock programs alone restores from it. */
export function selfRestoreText({ vaultId, recipient }: { vaultId: string; recipient: string }): string {
  return `# How to restore from this vault without Holdfast

This folder is a Holdfast vault: backups of PostgreSQL servers. Holdfast itself is not needed to restore them.

- vault: \`${vaultId}\`
- sealed for: \`${recipient}\`

Where there is a folder \`keys\`, the vault had other keys before this one, and older points are sealed for those. The folder keeps
each of them, sealed for the present one, so that the present recovery key opens everything: step 3 does it. With a recovery key from
before, these steps open the points that were made while it was the present one, and no later ones: take such a point in step 2. That
\`age\` finds no matching identity for a file in \`keys\` is no harm then.

Where the vault lies in a bucket, copy the bucket, or its folder of the vault, to a disk first, with any program that speaks S3,
such as \`aws s3 sync\` or \`rclone copy\`.

You need the vault's recovery key (one line, \`AGE-SECRET-KEY-1…\`, in a file that only you can read), the programs
\`age\` and \`zstd\`, \`psql\` and \`pg_restore\` of PostgreSQL, and a shell with the usual \`awk\`, \`sed\`, \`sort\` and \`sha256sum\`. \`openssl\` 3, where it is there,
compares what the files open to as well.
\`pg_restore\` must not be older than the \`pg_dump\` that wrote the archives: step 3 shows its version.

Paste the steps one after the other into one shell. Only step 1, and step 7 where you use it, hold values to change.

## 1. Say where everything is

\`\`\`sh
VAULT=/path/to/this/folder
KEY=/path/to/the/recovery-key.txt
WORK=/path/to/a/new/empty/folder
export PGHOST=127.0.0.1 PGPORT=5432 PGUSER=postgres
\`\`\`

\`VAULT\`, \`KEY\` and \`WORK\` are absolute paths. \`WORK\` will hold all databases of a point, readable and not compressed: it needs
the space, and has to be removed afterwards. The server is the one to restore into; its superuser's password may be given as \`PGPASSWORD\`.

## 2. Choose a recovery point

Every folder below \`points\` with a \`point.json\` is a whole recovery point; one without it was never finished. This lists
them by age and takes the newest; to take another one, set \`POINT\` to its folder.

\`\`\`sh
cd "$VAULT"
grep '"createdAt"' points/*/*/point.json /dev/null | sort -t '"' -k 4
POINT=$(grep '"createdAt"' points/*/*/point.json /dev/null | sort -t '"' -k 4 | tail -n 1 | sed 's,/point.json:.*,,')
echo "POINT=$POINT"
\`\`\`

## 3. Open its manifest

The manifest says what the point holds: server, versions, databases, roles, the number of rows of every table, digests.
The first lines put the recovery key, and the keys that the vault had before it, into one file.

\`\`\`sh
mkdir -p "$WORK" && chmod 700 "$WORK"
KEYS="$WORK/keys.txt"
(umask 077 && cat "$KEY" > "$KEYS")
for FILE in keys/*.age; do
  if [ -f "$FILE" ]; then age --decrypt --identity "$KEY" "$FILE" >> "$KEYS"; fi
done
sed -n 's/.*"storedSha256": "\\([0-9a-f]*\\)".*/\\1  manifest.json.age/p' "$POINT/point.json" | (cd "$POINT" && sha256sum --check -)
age --decrypt --identity "$KEYS" --output "$WORK/manifest.json" "$POINT/manifest.json.age"
sed -n '/"pointInTime"/p; /"server": {/,/}/p; /"tools": {/,/}/p' "$WORK/manifest.json"
\`\`\`

## 4. Check that its files are whole

Every line has to end in \`OK\`.

\`\`\`sh
awk -F '"' '$2 == "file" { file = $4 } $2 == "storedSha256" { print $4 "  " file }' "$WORK/manifest.json" > "$WORK/stored.sha256"
(cd "$POINT" && sha256sum --check "$WORK/stored.sha256")
\`\`\`

## 5. Open the files

This makes \`globals.sql\` (roles and tablespaces) and one archive a database, and checks them too. The last command says which archive is
which database (names as JSON texts).

\`\`\`sh
for FILE in $(awk '{ print $2 }' "$WORK/stored.sha256"); do
  NAME=\${FILE%.age}
  case $NAME in
    *.zst) age --decrypt --identity "$KEYS" "$POINT/$FILE" | zstd --decompress --quiet -o "$WORK/\${NAME%.zst}" ;;
    *) age --decrypt --identity "$KEYS" --output "$WORK/$NAME" "$POINT/$FILE" ;;
  esac
done
awk -F '"' '$2 == "file" { file = $4; sub(/\\.age$/, "", file); sub(/\\.zst$/, "", file) } $2 == "plainSha256" { print $4 "  " file }' "$WORK/manifest.json" > "$WORK/plain"
if [ -s "$WORK/plain" ]; then (cd "$WORK" && sha256sum --check plain); fi
awk -F '"' '$2 == "file" { file = $4; sub(/\\.age$/, "", file); sub(/\\.zst$/, "", file) } $2 == "plainGmac" { mac = $4 } $2 == "plainGmacKey" { print $4, mac, file }' "$WORK/manifest.json" > "$WORK/plain"
while read -r MAC_KEY MAC NAME; do
  if FOUND=$(openssl mac -cipher AES-256-GCM -macopt "hexkey:$MAC_KEY" -macopt hexiv:000000000000000000000000 -in "$WORK/$NAME" GMAC)
  then if [ "$(echo "$FOUND" | tr A-F a-f)" = "$MAC" ]; then echo "$NAME: OK"; else echo "$NAME: FAILED"; fi
  else echo "$NAME: not compared, which needs openssl 3"
  fi
done < "$WORK/plain"
awk -F '"' '$2 == "file" { file = $4; sub(/\\.age$/, "", file); sub(/\\.zst$/, "", file) } $2 == "database" && $4 != "" { name = $0; sub(/^ *"database": /, "", name); sub(/,$/, "", name); print file " " name }' "$WORK/manifest.json" > "$WORK/contents"
cat "$WORK/contents"
\`\`\`

## 6. Load everything into an empty server

First the roles. "already exists" is no harm. Roles have no passwords here: set new ones for those that sign in.

\`\`\`sh
psql --no-psqlrc --quiet --dbname=postgres --file="$WORK/globals.sql"
\`\`\`

Then every database under its own name, which must not exist yet. (\`postgres\` exists on every server: it is filled, and has to be empty.)

\`\`\`sh
while read -r ARCHIVE DATABASE; do
  CREATE=--create
  if [ "$DATABASE" = '"postgres"' ]; then CREATE=; fi
  if pg_restore $CREATE --exit-on-error --dbname=postgres "$WORK/$ARCHIVE" < /dev/null
  then echo "restored: $DATABASE"
  else echo "NOT RESTORED: $DATABASE"
  fi
done < "$WORK/contents"
\`\`\`

## 7. Or load one database under a new name

Instead of the loop of step 6, after the roles: the archive's name is in \`contents\`.

\`\`\`sh
ARCHIVE=0001.dump
NEW_NAME=restored_copy
psql --no-psqlrc --quiet --dbname=postgres --command="CREATE DATABASE $NEW_NAME TEMPLATE template0"
pg_restore --exit-on-error --dbname="$NEW_NAME" "$WORK/$ARCHIVE"
\`\`\`

Compare the number of rows with \`tables\` in \`manifest.json\`. Then remove \`WORK\`: it holds your data, and the keys, unsealed.
`
}
