#!/bin/sh
# Installs the groups of tests/packages.txt that are named; apt is left alone when nothing is missing.
#
#     tests/install-packages.sh GROUP...
set -eu

list=$(dirname "$0")/packages.txt
wanted=$(awk -v groups=" $* " '
	/^\[.*\]$/ { wanted = index(groups, " " substr($0, 2, length($0) - 2) " "); next }
	wanted && !/^ *(#|$)/ { print $1 }' "$list")

missing=
for package in $wanted; do
	state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || state=absent
	[ "$state" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
	as_root=
elif command -v sudo >/dev/null; then
	as_root=sudo
else
	echo "missing packages; as root: apt-get install$missing" >&2
	exit 1
fi

echo "installing:$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { $as_root apt-get update && $as_root env DEBIAN_FRONTEND=noninteractive \
	apt-get install --yes --no-install-recommends $missing; } >"$log" 2>&1 </dev/null; then
	tail -n 20 "$log" >&2
	echo "apt-get could not install:$missing" >&2
	exit 1
fi
