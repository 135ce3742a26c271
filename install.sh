#!/bin/sh
# Builds the active-response suite and installs it into an OSSEC or Wazuh home.
# See `./install.sh --help`.
set -eu

usage() {
	cat <<'EOF'
Usage: ./install.sh [--home DIR] [--uninstall] [--no-deps] [--dry-run]

Installs firewall-drop, host-deny, route-null, email-notification and
response-stats, with the names that OSSEC's configuration knows them by, into
DIR/active-response/bin. What stood there under those names is kept beside in
DIR/active-response/stock and comes back with --uninstall.

  --home DIR    the OSSEC or Wazuh home (default /var/ossec)
  --uninstall   take the suite out again; state and logs stay
  --no-deps     do not install missing system packages
  --dry-run     print what would be done, and do nothing
  --help        this text

DESTDIR, when set in the environment, is put before every path that is written.
EOF
}

say() { printf '%s\n' "$*"; }
die() {
	printf 'install.sh: %s\n' "$*" >&2
	exit 1
}

# run shows a command in a dry run, and runs it otherwise.
run() {
	if [ "$dry_run" = yes ]; then
		say "would run: $*"
	else
		"$@"
	fi
}

home=/var/ossec
action=install
deps=yes
dry_run=no
while [ $# -gt 0 ]; do
	case $1 in
	--home)
		[ $# -ge 2 ] || die "--home needs a folder (see --help)"
		home=$2
		shift
		;;
	--home=*) home=${1#--home=} ;;
	--uninstall) action=uninstall ;;
	--no-deps) deps=no ;;
	--dry-run) dry_run=yes ;;
	--help | -h)
		usage
		exit 0
		;;
	*) die "unknown option $1 (see --help)" ;;
	esac
	shift
done

case $home in
/*) ;;
'') die "--home needs a folder (see --help)" ;;
*) home=$(pwd)/$home ;;
esac
home=${home%/}
root=${DESTDIR-}$home
bin=$root/active-response/bin
stock=$root/active-response/stock
installed=$stock/.installed
source=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)

programs="firewall-drop host-deny route-null email-notification response-stats"

# links PROGRAM prints the other names of a program.
links() {
	case $1 in
	firewall-drop) echo "firewall-drop.sh custom-firewall-drop.sh" ;;
	*) echo "$1.sh" ;;
	esac
}

# find_group prints the group that the daemons run as; root where there is none.
find_group() {
	for g in ossec wazuh; do
		if getent group "$g" >/dev/null 2>&1 || grep -q "^$g:" /etc/group 2>/dev/null; then
			echo "$g"
			return
		fi
	done
	echo root
}

# owned FILE... gives files to root and the daemons' group, where we may.
owned() {
	if [ "$(id -u)" = 0 ]; then
		run chown -h "root:$group" "$@"
	fi
}

# folder MODE DIR makes a folder unless it is there; one that is there stays as it is.
folder() {
	if [ ! -d "$2" ]; then
		run mkdir -p "$2"
		run chmod "$1" "$2"
		owned "$2"
	fi
}

have() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || [ -x "/sbin/$1" ]; }

# install_packages installs iptables where it is missing.
install_packages() {
	have iptables && return
	if [ "$deps" = no ]; then
		say "iptables is missing: firewall-drop will not work until it is installed"
		return
	fi
	say "installing iptables"
	if have apt-get; then
		run apt-get update -qq || die "updating the package lists failed; install iptables by hand, or use --no-deps"
		run env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends iptables </dev/null >&2
	elif have dnf; then
		run dnf install -y -q iptables </dev/null >&2
	elif have yum; then
		run yum install -y -q iptables </dev/null >&2
	elif have zypper; then
		run zypper --non-interactive --quiet install iptables </dev/null >&2
	elif have apk; then
		run apk add --quiet iptables ip6tables </dev/null >&2
	else
		die "iptables is missing and no known package manager is here: install it by hand, or use --no-deps"
	fi || die "installing iptables failed: install it by hand, or use --no-deps"
}

# find_go prints the go command to build with.
find_go() {
	for go in go /usr/local/go/bin/go /usr/lib/go/bin/go; do
		if command -v "$go" >/dev/null 2>&1; then
			echo "$go"
			return
		fi
	done
	die "Go 1.26 or later is needed to build the suite and was not found: see https://go.dev/dl/"
}

build() {
	if [ "$dry_run" = yes ]; then
		say "would run: go build of the programs in $source"
		return
	fi
	go=$(find_go)
	version=$(cd "$source" && git describe --tags --always --dirty 2>/dev/null || echo devel)
	(
		cd "$source"
		CGO_ENABLED=0 "$go" build -trimpath -buildvcs=false -tags urfave_cli_no_docs \
			-ldflags "-s -w -X github.com/ossec-ar/ossec-ar/internal/version.Version=$version" \
			-o "$work/" ./cmd/...
	) || die "building failed; Go 1.26 or later is needed ($("$go" version 2>/dev/null || echo unknown))"
}

# identity FILE tells one file from another of the same name.
identity() {
	if [ -L "$1" ]; then
		printf 'link to %s' "$(readlink "$1")"
	else
		cksum <"$1"
	fi
}

# ours NAME tells whether a file in the bin folder is as we installed it. One that an
# upgrade of OSSEC or Wazuh has put in its place since is not.
ours() {
	[ -f "$installed" ] && grep -qxF "$1	$(identity "$bin/$1")" "$installed"
}

there() { [ -e "$1" ] || [ -L "$1" ]; }

# keep NAME puts a file that is not ours aside.
keep() {
	if there "$bin/$1" && ! ours "$1"; then
		run mv -f "$bin/$1" "$stock/$1"
		say "kept the stock $1 in $home/active-response/stock"
	fi
}

# note NAME writes down that a file is ours.
note() {
	[ "$dry_run" = no ] || return 0
	if [ -f "$installed" ]; then
		grep -v "^$1	" "$installed" >"$installed.new" || true
	fi
	printf '%s\t%s\n' "$1" "$(identity "$bin/$1")" >>"$installed.new"
	mv -f "$installed.new" "$installed"
}

install_suite() {
	[ -n "${DESTDIR-}" ] || [ "$(id -u)" = 0 ] || [ -w "$(dirname "$home")" ] || [ -w "$home" ] ||
		die "$home cannot be written to: run it as root"
	group=$(find_group)
	if [ ! -d "$root/etc" ] && [ ! -d "$root/bin" ]; then
		say "no OSSEC or Wazuh in $home: making the folders, so that the suite can be tried by hand"
		folder 0755 "$root"
	fi
	install_packages
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT INT TERM
	build
	folder 0750 "$root/active-response"
	folder 0750 "$bin"
	folder 0750 "$stock"
	folder 0750 "$root/etc"
	folder 0770 "$root/logs"
	folder 0750 "$root/var"
	folder 0700 "$root/var/active-response"
	for program in $programs; do
		if [ "$dry_run" = no ] && [ ! -f "$work/$program" ]; then
			continue
		fi
		keep "$program"
		# A program that runs is not written over: the new one is moved into its place.
		run install -m 0755 "$work/$program" "$bin/.$program.new"
		owned "$bin/.$program.new"
		run mv -f "$bin/.$program.new" "$bin/$program"
		note "$program"
		for link in $(links "$program"); do
			keep "$link"
			run ln -sfn "$program" "$bin/$link"
			owned "$bin/$link"
			note "$link"
		done
	done
	say "installed into $home/active-response/bin"
	if [ -f "$root/bin/ossec-control" ] || [ -f "$root/bin/wazuh-control" ]; then
		say "restart OSSEC or Wazuh when it suits you: its daemon sees a new executable only then"
	fi
}

uninstall_suite() {
	if [ ! -f "$installed" ]; then
		say "the suite is not installed in $home"
		return
	fi
	while IFS='	' read -r name _; do
		if there "$bin/$name" && ! ours "$name"; then
			say "left $name: it is no longer the one that was installed"
			continue
		fi
		run rm -f "$bin/$name"
		if there "$stock/$name"; then
			run mv "$stock/$name" "$bin/$name"
			say "put the stock $name back"
		fi
	done <"$installed"
	run rm -f "$installed"
	if [ "$dry_run" = no ]; then
		rmdir "$stock" 2>/dev/null || true
	fi
	say "taken out of $home/active-response/bin; what is blocked stays blocked, state and logs stay in $home"
}

case $action in
install) install_suite ;;
uninstall) uninstall_suite ;;
esac
