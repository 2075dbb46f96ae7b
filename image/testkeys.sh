#!/bin/sh
# Makes keys that sign updates, for one image and for tests: whoever has the folder can sign.
# An owner keeps real ones elsewhere: docs/image.md.
#
#   image/testkeys.sh FOLDER
set -eu
dir=$1
umask 077
mkdir -p "$dir"
config=$(mktemp)
trap 'rm -f "$config"' EXIT
cat >"$config" <<'END'
[req]
distinguished_name = name
prompt = no
[name]
CN = Lineside test
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
[release]
basicConstraints = CA:FALSE
keyUsage = critical,digitalSignature
END
make() { # NAME SECTION ARGUMENT...
	name=$1 section=$2
	shift 2
	openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -config "$config" -keyout "$dir/$name.key" -out "$dir/$name.csr" 2>/dev/null
	openssl x509 -req -days 7300 -extfile "$config" -extensions "$section" -in "$dir/$name.csr" -out "$dir/$name.pem" "$@" 2>/dev/null
	rm "$dir/$name.csr"
}
make keyring authority -signkey "$dir/keyring.key"
make release release -CA "$dir/keyring.pem" -CAkey "$dir/keyring.key" -CAcreateserial
rm -f "$dir/keyring.srl"
