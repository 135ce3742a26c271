#!/bin/sh
# Installs the active-response suite into an OSSEC or Wazuh home, sets it up, and takes it
# out again. See `./install.sh --help`.
set -eu
umask 022

usage() {
	cat <<'END'
Usage: ./install.sh [--home DIR] [--configure [--profile A,B] [--whitelist A,B]] ...
       ./install.sh --uninstall | --purge [--home DIR]

Installs firewall-drop, host-deny, route-null, email-notification and
response-stats, with the names that OSSEC's configuration knows them by, into
DIR/active-response/bin. What stood there under those names is kept beside in
DIR/active-response/stock and comes back with --uninstall. It asks nothing, may
be run again at any time, and never restarts OSSEC: it says when that is needed.

  --home DIR       the OSSEC or Wazuh home (default: that of the daemon that runs,
                   else what /etc/ossec-init.conf names, else /var/ossec; only where
                   nobody but root can write)
  --configure      also put commands, active responses, the logs to follow and
                   the suite's rules into DIR/etc/ossec.conf; where the suite is
                   installed already, do only that
  --profile A,B    which responses: ssh, web, mail (these three by default),
                   severity, repeat; contrib/ossec shows each. They take the
                   place of those that were chosen before: name all that you want
  --whitelist A,B  addresses and networks that are never to be blocked
  --systemd        timers of systemd instead of cron
  --cron           cron again
  --no-system      nothing outside of DIR: no cron, logrotate, man pages
  --no-deps        do not install missing system packages
  --build          build the programs even if a release archive brought them
  --uninstall      take the suite out again; state and logs stay
  --purge          that, and free all addresses, and remove state and the
                   suite's own logs; also after an --uninstall
  --dry-run        print what would be done, and do nothing
  --help           this text

DESTDIR, when set in the environment, is put before every path; then no system
packages are installed. GO names the go command to build with.
END
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

# did tells what was done; a dry run has said it already.
did() { [ "$dry_run" = yes ] || say "$*"; }

# quietly is run for a command of which only faults are of interest.
quietly() {
	if [ "$dry_run" = yes ]; then
		say "would run: $*"
	else
		"$@" >/dev/null
	fi
}

action=install
configure=no
profile=
whitelist=
schedule=
system=yes
deps=yes
build=no
purge=no
dry_run=no
home=
while [ $# -gt 0 ]; do
	case $1 in
	--home | --profile | --whitelist)
		[ -n "${2-}" ] || die "$1 needs a value (see --help)"
		case $1 in
		--home) home=$2 ;;
		--profile) profile=$2 ;;
		--whitelist) whitelist=$2 ;;
		esac
		shift
		;;
	--home=?*) home=${1#--home=} ;;
	--profile=?*) profile=${1#--profile=} ;;
	--whitelist=?*) whitelist=${1#--whitelist=} ;;
	--configure) configure=yes ;;
	--systemd) schedule=systemd ;;
	--cron) schedule=cron ;;
	--no-system) system=no ;;
	--no-deps) deps=no ;;
	--build) build=yes ;;
	--uninstall) action=uninstall ;;
	--purge)
		action=uninstall
		purge=yes
		;;
	--dry-run) dry_run=yes ;;
	--help | -h)
		usage
		exit 0
		;;
	*) die "unknown option $1 (see --help)" ;;
	esac
	shift
done
[ "$configure" = yes ] || [ -z "$profile$whitelist" ] || die "--profile and --whitelist go with --configure (see --help)"
[ "$action" = install ] || [ "$configure" = no ] || die "--configure does not go with --uninstall (see --help)"

destdir=${DESTDIR-}
source=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)

# A person's PATH often lacks the folders with programs for administrators.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

have() { command -v "$1" >/dev/null 2>&1; }

there() { [ -e "$1" ] || [ -L "$1" ]; }

# Root acts on what others wrote only when they can't have: it must be root's (or the
# user's own who runs this), and so must every folder above it. A folder like /tmp, in
# which nobody moves what is another's, may be above what was named on the command line,
# and not above what is found here.
me=$(id -u)
sticky=no
[ -z "$home$destdir" ] || sticky=yes

# unwritten FILE tells whether nobody else may write a file or folder; else $fault says who
# may. Whoever may write a folder above it is not looked for.
unwritten() {
	case $1 in
	*[!A-Za-z0-9/._+@-]*) fault="a file of an odd name" ;; # not to be repeated on a terminal
	*) fault=$1 ;;
	esac
	read -r mode _ uid _ <<-END
		$(ls -ldn -- "$1" 2>/dev/null)
	END
	case $uid in
	0 | "$me") ;;
	'') fault="$fault cannot be looked at" && return 1 ;;
	*) fault="$fault is user $uid's" && return 1 ;;
	esac
	case $sticky-$mode in *-l* | yes-d????????[tT]*) return ;; esac # a link's rights say nothing
	case $mode in
	????????w*) fault="$fault can be written to by others" && return 1 ;;
	?????w*) fault="$fault can be written to by its group" && return 1 ;;
	esac
}

# alone PATH tells the same of a path with all folders above it and all links on the way.
# What is not there yet nobody else can make.
alone() {
	at=
	case $1 in
	/*) rest=$1 ;;
	*) rest=$(pwd)/$1 ;;
	esac
	links=0
	unwritten / || return
	while [ -n "$rest" ]; do
		name=${rest%%/*}
		rest=${rest#"$name"}
		rest=${rest#/}
		case $name in
		'' | .) continue ;;
		..) at=${at%/*} && continue ;;
		esac
		there "$at/$name" || return 0
		unwritten "$at/$name" || return
		if [ -L "$at/$name" ]; then
			links=$((links + 1))
			[ "$links" -le 40 ] || { fault="$fault is a link without an end" && return 1; }
			rest=$(readlink "$at/$name")/$rest
			case $rest in /*) at= ;; esac
		else
			at=$at/$name
		fi
	done
}

# plain FILE tells whether it is a file, and not a link to one.
plain() { [ -f "$1" ] && [ ! -L "$1" ]; }

disregard() { printf 'install.sh: disregarded %s: %s\n' "$1" "$2" >&2; }

# running_home prints the home of the daemon that runs responses. Anybody can run a program
# of that name. Of those that are none, one is told of: there may be thousands.
running_home() {
	told=no
	for exe in /proc/[0-9]*/exe; do
		file=$(readlink "$exe" 2>/dev/null) || continue
		case $file in
		/*/bin/ossec-execd | /*/bin/wazuh-execd) ;;
		*) continue ;;
		esac
		# The owner of the folder in /proc is root for everybody whose memory is not to be
		# read. All four users of it must be root; what runs in a container has its files there.
		# shellcheck disable=SC3013 # dash, busybox and POSIX of 2024 have -ef
		if ! grep -q '^Uid:	0	0	0	0$' "${exe%/exe}/status" 2>/dev/null; then
			fault="it is not root's"
		elif ! [ "$exe" -ef "$file" ]; then
			fault="it runs in a container, or its file is gone"
		elif alone "$file"; then
			echo "${file%/bin/*}"
			return
		fi
		[ "$told" = yes ] || disregard "process $(basename "${exe%/exe}"), which is named like the daemon" "$fault"
		told=yes
	done
}

# find_home prints the home that is to be installed into.
find_home() {
	if [ -z "$destdir" ]; then
		found=$(running_home)
		if [ -n "$found" ]; then
			echo "$found"
			return
		fi
	fi
	found=
	conf=$destdir/etc/ossec-init.conf
	if [ ! -r "$conf" ]; then
		:
	elif ! plain "$conf"; then
		disregard /etc/ossec-init.conf "it is not a plain file"
	elif ! alone "$conf"; then
		disregard /etc/ossec-init.conf "$fault"
	else
		found=$(sed -n 's/^DIRECTORY="\(\/[^"]*\)".*/\1/p' "$conf" | tail -n 1)
	fi
	for dir in ${found:+"$found"} /var/ossec /opt/ossec /opt/wazuh /usr/local/ossec-hids; do
		[ -d "$destdir$dir" ] || continue
		if alone "$destdir$dir"; then
			echo "$dir"
			return
		fi
		disregard "$dir" "$fault"
	done
	alone "$destdir/var/ossec" || die "no home is here that only root can write to: make it so, or name another with --home"
	echo /var/ossec
}

[ -n "$home" ] || home=$(find_home) || exit 1
case $home in
/*) ;;
*) home=$(pwd)/$home ;;
esac
home=$(printf '%s/' "$home" | sed -e 's,/\./,/,g' -e 's,//*,/,g' -e 's,/$,,')
case $home in
*/../* | */..) die "$home: a home without .. is needed: cron and systemd read it" ;;
'') die "the home can't be /" ;;
*[!A-Za-z0-9/._+@-]*) die "$home: only letters, digits and . _ + @ - can be in the path of a home: cron and systemd read it" ;;
esac
root=$destdir$home
bin=$root/active-response/bin
stock=$root/active-response/stock
installed=$stock/.installed # the programs and links in $bin, with their identities
placed=$stock/.placed       # all other files and folders that were made, likewise
state=$root/var/active-response
programs_kept=$root/.ossec-ar-programs # what a purge runs; the daemons may write to Wazuh's var
share=/usr/share/ossec-ar

programs="firewall-drop host-deny route-null email-notification response-stats"
blocking="firewall-drop host-deny route-null"
timers="ossec-ar-stats.timer ossec-ar-maintain.timer"

# links PROGRAM prints the other names of a program.
links() {
	case $1 in
	firewall-drop) echo "firewall-drop.sh custom-firewall-drop.sh" ;;
	*) echo "$1.sh" ;;
	esac
}

# find_group prints the group that the daemons run as: that of the home's own folders, else
# one of a usual name; root where there is none.
find_group() {
	for dir in "$root/etc" "$root"; do
		if [ -d "$dir" ]; then
			# shellcheck disable=SC2012 # stat(1) differs from system to system
			owner=$(ls -ld "$dir" | awk '{print $4}')
			if [ "$owner" != root ]; then
				echo "$owner"
				return
			fi
		fi
	done
	for name in ossec wazuh; do
		if getent group "$name" >/dev/null 2>&1 || grep -q "^$name:" /etc/group 2>/dev/null; then
			echo "$name"
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

# folder MODE DIR makes a folder below the home unless it is there; one that is there stays
# as it is.
folder() {
	if [ ! -d "$2" ]; then
		run mkdir -p "$2"
		run chmod "$1" "$2"
		owned "$2"
		made="$made${2#"$destdir"}
"
	fi
}

# install_packages installs iptables where it is missing.
install_packages() {
	have iptables && return
	if [ "$deps" = no ] || [ -n "$destdir" ]; then
		say "iptables is missing: firewall-drop will not work until it is installed"
		return
	fi
	say "installing iptables"
	if have apt-get; then
		run apt-get update -qq || die "updating the package lists failed; install iptables by hand, or use --no-deps"
		quietly env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends iptables </dev/null
	elif have dnf; then
		quietly dnf install -y -q iptables </dev/null
	elif have yum; then
		quietly yum install -y -q iptables </dev/null
	elif have zypper; then
		quietly zypper --non-interactive --quiet install iptables </dev/null
	elif have apk; then
		quietly apk add --quiet iptables ip6tables </dev/null
	else
		die "iptables is missing and no known package manager is here: install it by hand, or use --no-deps"
	fi || die "installing iptables failed: install it by hand, or use --no-deps"
}

# new_enough GO tells whether a go command is of the version that go.mod asks for.
new_enough() {
	GOTOOLCHAIN=local "$1" version 2>/dev/null | awk -v need="$need" '{
		split(substr($3, 3), is, "."); split(need, want, ".")
		good = is[1] + 0 > want[1] + 0 || is[1] + 0 == want[1] + 0 && is[2] + 0 >= want[2] + 0
	} END { exit !good }'
}

# find_go prints the go command to build with.
find_go() {
	need=$(sed -n 's/^go \([0-9]*\.[0-9]*\).*/\1/p' "$source/go.mod")
	old=
	for go in ${GO:-go /usr/local/go/bin/go /usr/lib/go/bin/go}; do
		command -v "$go" >/dev/null 2>&1 || continue
		if new_enough "$go"; then
			echo "$go"
			return
		fi
		version=$(GOTOOLCHAIN=local "$go" version 2>/dev/null | awk '{print $3}')
		old="$go is ${version:-none that runs}"
	done
	die "Go $need or later is needed to build the suite: ${old:-there is no go command here}; see https://go.dev/dl/"
}

# get_programs finds or builds the programs; $made_in is where they are.
get_programs() {
	if [ "$build" = no ] && [ -x "$source/dist/firewall-drop" ]; then
		made_in=$source/dist
		if [ -z "$destdir" ]; then
			version=$("$made_in/firewall-drop" --version 2>/dev/null) || die "the programs in $made_in do not run on this machine: take the archive for $(uname -m), or use --build"
		fi
		return
	fi
	[ -f "$source/go.mod" ] || die "$source has neither programs (dist) nor their sources: take a release archive or a clone"
	made_in=$work
	if [ "$dry_run" = yes ]; then
		say "would run: go build of the programs in $source"
		return
	fi
	go=$(find_go)
	version=$(cd "$source" && git describe --tags --always --dirty 2>/dev/null || echo devel)
	(
		cd "$source"
		CGO_ENABLED=0 "$go" build -trimpath -buildvcs=false -tags urfave_cli_no_docs \
			-ldflags "-s -w -X github.com/ossec-ar/ossec-ar/internal/app.Version=$version" \
			-o "$work/" ./cmd/...
	) || die "building the programs failed"
}

# identity FILE tells one file from another of the same name.
identity() {
	if [ -L "$1" ]; then
		printf 'link to %s' "$(readlink "$1")"
	else
		cksum <"$1"
	fi
}

# known LIST NAME FILE tells whether a file is as it was when it was written down.
known() { [ -f "$1" ] && grep -qxF "$2	$(identity "$3")" "$1"; }

# promise LIST NAME IDENTITY writes down that a file is about to be put in place, beside what
# is known of that name: a run that is cut off there must not make the next one take our own
# file for somebody else's.
promise() { [ "$dry_run" = yes ] || printf '%s\t%s\n' "$2" "$3" >>"$1"; }

# note LIST NAME IDENTITY writes down that a file is ours; without IDENTITY, forgets it.
note() {
	[ "$dry_run" = no ] || return 0
	awk -F '\t' -v name="$2" '$1 != name' "$1" >"$1.new" 2>/dev/null || true
	[ -z "${3-}" ] || printf '%s\t%s\n' "$2" "$3" >>"$1.new"
	mv -f "$1.new" "$1"
}

# ours NAME tells whether a file in the bin folder is as we installed it. One that an
# upgrade of OSSEC or Wazuh has put in its place since is not.
ours() { there "$bin/$1" && known "$installed" "$1" "$bin/$1"; }

# believe_home ends the run unless nobody else can write what is acted on as root: the two
# lists, what is kept in the stock folder, and the programs that are run from the bin folder.
believe_home() {
	for path in "$stock" "$bin"; do
		alone "$path" || die "$fault, so what is in $home is not believed and nothing was done: leave it to root alone (chown root, chmod go-w), or name another home"
	done
	for path in "$installed" "$placed"; do
		there "$path" || continue
		plain "$path" || die "$path is not a plain file, so it is not believed and nothing was done: see who made it, and remove it"
		alone "$path" || die "$fault, so it is not believed and nothing was done: read it, then leave it to root alone (chown root, chmod go-w) or remove it"
	done
	for program in $blocking; do
		! ours_plain "$program" || alone "$bin/$program" ||
			die "$fault, so it is not run and nothing was done: remove it, and install the suite again"
	done
}

# ours_plain PROGRAM tells whether a program may be run as ours: it is no link to elsewhere.
ours_plain() { ours "$1" && plain "$bin/$1"; }

# keep NAME puts a file that is not ours aside.
keep() {
	if there "$bin/$1" && ! ours "$1"; then
		run mv -f "$bin/$1" "$stock/$1"
		did "kept the stock $1 in $home/active-response/stock"
	fi
}

# label MODEL FILE... gives files the SELinux label of one of OSSEC's own, and where there
# is none that of the policy.
label() {
	model=$1
	shift
	for file in "$@"; do
		there "$file" || continue
		if [ -n "$model" ] && run chcon --reference="$model" "$file"; then
			continue
		fi
		run restorecon "$file" || say "could not label $file for SELinux: the daemon may be denied to use it"
	done
}

# label_all labels the programs and the logs.
label_all() {
	have selinuxenabled && selinuxenabled || return 0
	model=
	for file in "$stock"/* "$bin"/*; do
		if [ -f "$file" ] && [ ! -L "$file" ] && { [ "${file%/*}" = "$stock" ] || ! ours "${file##*/}"; }; then
			model=$file
			break
		fi
	done
	for program in $programs; do
		label "$model" "$bin/$program"
	done
	model=
	[ ! -f "$root/logs/ossec.log" ] || model=$root/logs/ossec.log
	for log in active-responses.log active-responses.json notifications.log response-stats.log; do
		label "$model" "$root/logs/$log"
	done
}

# same FILE PROGRAM tells whether a program is there in this very form.
same() { [ -f "$2" ] && [ ! -L "$2" ] && cmp -s "$1" "$2"; }

install_programs() {
	for program in $programs; do
		if [ ! -f "$made_in/$program" ] && { [ "$dry_run" = no ] || [ "$made_in" != "$work" ]; }; then
			continue
		fi
		keep "$program"
		if ! same "$made_in/$program" "$bin/$program"; then
			restart=yes
			# A program that runs is not written over: the new one is moved into its place.
			run install -m 0755 "$made_in/$program" "$bin/.$program.new"
			owned "$bin/.$program.new"
			[ "$dry_run" = yes ] || promise "$installed" "$program" "$(identity "$bin/.$program.new")"
			run mv -f "$bin/.$program.new" "$bin/$program"
		fi
		[ "$dry_run" = yes ] || note "$installed" "$program" "$(identity "$bin/$program")"
		for link in $(links "$program"); do
			keep "$link"
			if [ "$(readlink "$bin/$link" 2>/dev/null)" != "$program" ]; then
				restart=yes
				promise "$installed" "$link" "link to $program"
				run ln -sfn "$program" "$bin/$link"
				owned "$bin/$link"
			fi
			[ "$dry_run" = yes ] || note "$installed" "$link" "$(identity "$bin/$link")"
		done
	done
}

# place MODE FILE PATH puts a file outside of the home; one in /etc with the home's path and
# group filled in.
# One that was changed there, or is somebody else's, stays as it is.
place() {
	target=$destdir$3
	case $3 in
	/etc/*) sed -e "s,/var/ossec,$home,g" -e "s,^\\([[:blank:]]*su root\\) ossec\$,\\1 $group," "$2" ;;
	*) cat "$2" ;; # text about /var/ossec stays what it says
	esac >"$work/placed"
	if ! there "$target" || known "$placed" "$3" "$target"; then
		if ! cmp -s "$work/placed" "$target"; then
			[ -d "${target%/*}" ] || run mkdir -p "${target%/*}"
			promise "$placed" "$3" "$(identity "$work/placed")"
			run install -m "$1" "$work/placed" "$target"
		fi
	elif ! cmp -s "$work/placed" "$target"; then
		say "left $3 as it is: it was changed, or is another home's"
		return
	elif ! names_home "$3"; then
		return # another home's, which is not to lose it with this one
	fi
	[ "$dry_run" = yes ] || note "$placed" "$3" "$(identity "$target")"
}

# names_home PATH tells whether what is to be put there is for this home alone.
names_home() {
	case $1 in
	/etc/*) grep -qF "$home/" "$work/placed" ;;
	*) false ;;
	esac
}

# displace PATH takes such a file away again, unless it was changed.
displace() {
	target=$destdir$1
	there "$target" || return 0
	if known "$placed" "$1" "$target"; then
		run rm -f "$target"
		note "$placed" "$1"
	else
		say "left $1: it is no longer the one that was installed"
	fi
}

# install_share puts contrib and this script where they are found when the clone is gone.
install_share() {
	[ "$source" != "$destdir$share" ] || return 0
	if [ -d "$destdir/usr/share" ] && [ ! -w "$destdir/usr/share" ]; then
		say "/usr/share cannot be written to: man pages, completions and contrib are left out"
		return
	fi
	place 0755 "$source/install.sh" "$share/install.sh"
	for file in $(cd "$source" && find contrib -type f ! -name '*.go' ! -path 'contrib/completions/*' | sort); do
		place 0644 "$source/$file" "$share/$file"
	done
	for page in "$source"/docs/man/*.[58]; do
		[ -f "$page" ] || continue
		place 0644 "$page" "/usr/share/man/man${page##*.}/$(basename "$page")"
	done
	for file in "$source"/contrib/completions/*/*; do
		[ -f "$file" ] || continue
		name=$(basename "$file")
		case $file in
		*/bash/*) place 0644 "$file" "/usr/share/bash-completion/completions/$name" ;;
		*/zsh/*) place 0644 "$file" "/usr/share/zsh/site-functions/$name" ;;
		*/fish/*) place 0644 "$file" "/usr/share/fish/vendor_completions.d/$name" ;;
		esac
	done
}

# systemd_runs tells whether the systemd that runs is the one to talk to.
systemd_runs() { [ -z "$destdir" ] && [ -d /run/systemd/system ]; }

# choose_schedule takes what was asked for, else what is there, and makes sure that it is
# not to be both.
choose_schedule() {
	if [ -z "$schedule" ]; then
		schedule=cron
		! there "$destdir/etc/systemd/system/ossec-ar-maintain.timer" || schedule=systemd
	fi
	[ "$schedule" = systemd ] || return 0
	have systemctl || die "--systemd: there is no systemctl here"
	if there "$destdir/etc/cron.d/ossec-ar" && ! known "$placed" /etc/cron.d/ossec-ar "$destdir/etc/cron.d/ossec-ar"; then
		die "--systemd: /etc/cron.d/ossec-ar was changed, or is another home's: move it away first, or stay with cron"
	fi
}

install_schedule() {
	if [ "$schedule" = cron ]; then
		remove_units
		place 0644 "$source/contrib/cron/ossec-ar" /etc/cron.d/ossec-ar
		if [ -z "$destdir" ] && ! have cron && ! have crond; then
			say "no cron is here to run /etc/cron.d/ossec-ar: install it, or use --systemd"
		fi
		return
	fi
	displace /etc/cron.d/ossec-ar
	for unit in "$source"/contrib/systemd/ossec-ar-*; do
		place 0644 "$unit" "/etc/systemd/system/$(basename "$unit")"
	done
	if systemd_runs; then
		run systemctl daemon-reload
		# shellcheck disable=SC2086 # one unit a word
		quietly systemctl --quiet enable --now $timers
	else
		# shellcheck disable=SC2086
		quietly systemctl --quiet --root="$destdir/" enable $timers
	fi
}

remove_units() {
	there "$destdir/etc/systemd/system/ossec-ar-maintain.timer" || return 0
	if ! have systemctl; then
		say "no systemctl is here: look for links to ossec-ar units in /etc/systemd/system"
	elif systemd_runs; then
		# shellcheck disable=SC2086
		quietly systemctl --quiet disable --now $timers
	else
		# shellcheck disable=SC2086
		quietly systemctl --quiet --root="$destdir/" disable $timers
	fi
	for unit in "$destdir"/etc/systemd/system/ossec-ar-*; do
		[ ! -f "$unit" ] || displace "${unit#"$destdir"}"
	done
	! systemd_runs || run systemctl daemon-reload
}

# setup OPTION... calls the program that edits ossec.conf.
setup() {
	if [ "$dry_run" = yes ]; then
		set -- "$@" --dry-run
	fi
	for program in $blocking; do
		for file in "$bin/$program" "${made_in:-$source/dist}/$program"; do
			if [ -x "$file" ] && { [ "$file" != "$bin/$program" ] || ours_plain "$program"; }; then
				"$file" configure --home "$home" --destdir "$destdir" "$@"
				return
			fi
		done
	done
	if [ "$dry_run" = yes ]; then
		say "would run: $home/active-response/bin/firewall-drop configure --home $home $*"
		return
	fi
	return 1
}

configure_ossec() {
	rules=$source/contrib/ossec/ar_suite_rules.xml
	for name in control execd analysisd agentd; do
		[ ! -e "$root/bin/wazuh-$name" ] || rules=$source/contrib/wazuh/ar_suite_rules.xml
	done
	set --
	[ ! -f "$rules" ] || set -- "$@" --rules "$rules"
	[ -z "$profile" ] || set -- "$@" --profile "$profile"
	[ -z "$whitelist" ] || set -- "$@" --whitelist "$whitelist"
	setup "$@" >"$work/said" || {
		cat "$work/said"
		die "$home/etc/ossec.conf was not set up"
	}
	cat "$work/said"
	! grep -q '^restart ' "$work/said" || restart=no # it is said already
}

install_suite() {
	nearest=$home # the folder that the first new one would be made in
	while [ ! -e "$nearest" ]; do nearest=$(dirname "$nearest"); done
	[ -n "$destdir" ] || [ "$(id -u)" = 0 ] || [ -w "$nearest" ] ||
		die "$home cannot be written to: run it as root"
	if [ "$system" = yes ] && [ -z "$destdir" ] && [ "$(id -u)" != 0 ]; then
		say "not root: cron, logrotate and man pages are left out"
		system=no
	fi
	[ "$system" = no ] || choose_schedule
	group=$(find_group)
	get_programs # where there are none, nothing has been changed yet
	[ "$made_in" = "$work" ] || say "installing the programs in $made_in${version:+ ($version)}"
	install_packages
	made=
	if [ ! -d "$root/etc" ] && [ ! -d "$root/bin" ]; then
		say "no OSSEC or Wazuh in $home: making the folders, so that the suite can be tried by hand"
		folder 0755 "$root"
	fi
	folder 0750 "$root/active-response"
	folder 0750 "$bin"
	folder 0750 "$stock"
	folder 0750 "$root/etc"
	folder 0770 "$root/logs"
	folder 0750 "$root/var"
	folder 0700 "$state"
	[ -z "$made" ] || believe_home # in a folder like /tmp another may have been first
	for dir in $made; do
		note "$placed" "$dir" folder
	done
	restart=no
	install_programs
	if [ "$system" = yes ]; then
		install_schedule
		place 0644 "$source/contrib/logrotate/ossec-ar" /etc/logrotate.d/ossec-ar
		install_share
	fi
	label_all
	did "installed into $home/active-response/bin"
	[ "$configure" = no ] || configure_ossec
	if [ "$restart" = yes ] && [ -n "$(ls "$root"/bin/*-control 2>/dev/null)" ]; then
		say "restart OSSEC or Wazuh when it suits you: its daemon sees a new executable only then"
	fi
}

# remove_programs also puts back what a run that was cut off had only just put aside.
remove_programs() {
	{
		[ ! -f "$installed" ] || awk -F '\t' '{ print $1 }' "$installed"
		for file in "$stock"/*; do ! there "$file" || echo "${file##*/}"; done
	} | sort -u >"$work/names"
	while IFS= read -r name; do
		if there "$bin/$name" && ! ours "$name"; then
			say "left $name: it is no longer the one that was installed"
			continue
		fi
		run rm -f "$bin/$name"
		if there "$stock/$name"; then
			run mv "$stock/$name" "$bin/$name"
			did "put the stock $name back"
		fi
	done <"$work/names"
	set -- "$installed" "$installed.new"
	for program in $programs; do set -- "$@" "$bin/.$program.new"; done
	run rm -f "$@"
}

# remove_placed takes all files outside of the home away, and then folders that were made
# and are empty again.
remove_placed() {
	[ -f "$placed" ] || return 0
	awk -F '\t' '$2 != "folder" { print $1 }' "$placed" >"$work/files"
	while IFS= read -r path; do
		displace "$path"
	done <"$work/files"
	[ "$dry_run" = no ] || return 0
	find "$destdir$share" -depth -type d -exec rmdir {} \; 2>/dev/null || true
	awk -F '\t' '$2 == "folder" { print $1 }' "$placed" | sort -r >"$work/folders"
	rm -f "$placed" "$placed.new"
	rmdir "$stock" 2>/dev/null || true
	while IFS= read -r path; do
		rmdir "$destdir$path" 2>/dev/null || true
	done <"$work/folders"
}

# leased PROGRAM tells whether the program has ever blocked anybody.
leased() { ls "$state/$1".db* >/dev/null 2>&1; }

# gather_programs makes ready to free what is blocked: it copies the programs to where they
# can be run (/tmp may not be such a place) and where no daemon calls them any more.
gather_programs() {
	[ -z "$destdir" ] || return 0 # what is blocked here is not that installation's
	for program in $blocking; do
		! leased "$program" || held="$held $program"
		if ours_plain "$program"; then
			from=$bin
		elif leased "$program"; then
			[ -n "$made_in" ] || say "freeing what is blocked takes the suite's own programs, which are not in $home/active-response/bin any more"
			[ -n "$made_in" ] || get_programs
			from=$made_in
		else
			continue
		fi
		if [ -z "$spare" ]; then
			spare=$programs_kept
			run rm -rf "$spare" # of a run that was killed: it is never used again
			run mkdir -m 0700 "$spare"
		fi
		run install -m 0755 "$from/$program" "$spare/$program"
		freeing="$freeing $program"
	done
}

# free_all lifts what is blocked, for without the state nobody would.
free_all() {
	kept=
	for program in $freeing; do
		quietly env OSSEC_HOME="$home" "$spare/$program" flush && continue
		case "$held " in
		*" $program "*) kept="$kept $program" ;;
		esac
	done
	[ -z "$kept" ] || die "not all addresses of$kept could be freed (see above), so the state stays: mend that and run it again"
}

remove_state() {
	! leased host-deny || remove_lock
	run rm -rf "$state"
	run rm -f "$root"/logs/notifications.log* "$root"/logs/response-stats.log* "$root"/logs/active-responses.json* \
		"$root"/etc/ossec.conf.ossec-ar-backup-*
	if known_folder "$home"; then # there never was an OSSEC
		run rm -f "$root"/logs/active-responses.log*
	fi
	for file in etc/active-response.toml etc/whitelist.d; do
		! there "$root/$file" || say "left $home/$file, which is yours"
	done
}

# host_deny_file TOML prints the file that it names for host-deny.
host_deny_file() {
	sed -n '/^[[:blank:]]*\[host_deny\]/,/^[[:blank:]]*\[/s/^[[:blank:]]*file[[:blank:]]*=[[:blank:]]*"\([^"]*\)".*/\1/p' "$1"
}

# remove_lock removes the lock file beside the file that host-deny edited.
remove_lock() {
	[ -z "$destdir" ] || return 0
	file=
	toml=$root/etc/active-response.toml
	if plain "$toml" && alone "$toml"; then
		file=$(host_deny_file "$toml")
	fi
	file=$(readlink -f "${file:-/etc/hosts.deny}") || return 0
	[ ! -w "${file%/*}" ] || run rm -f "${file%/*}/.${file##*/}.ossec-ar.lock"
}

known_folder() { [ -f "$placed" ] && grep -qxF "$1	folder" "$placed"; }

# any_ours tells whether one of the programs that edit ossec.conf is there.
any_ours() {
	for program in $blocking; do
		! ours_plain "$program" || return 0
	done
	return 1
}

configured() { grep -qs -e 'ossec-ar: begin' -e 'ossec-ar: rules begin' "$root/etc/ossec.conf"; }

uninstall_suite() {
	for dir in "$root" "$root/active-response" "$stock"; do
		[ ! -d "$dir" ] || [ -w "$dir" ] || die "${dir#"$destdir"} cannot be written to: run it as root"
	done
	if [ ! -f "$installed" ] && [ ! -f "$placed" ] && { [ "$purge" = no ] || [ ! -d "$state" ]; }; then
		say "the suite is not installed in $home"
		return
	fi
	made_in=
	held=
	freeing=
	[ "$purge" = no ] || gather_programs
	if configured && ! any_ours && [ -z "$made_in" ]; then
		say "setting ossec.conf back takes one of the suite's own programs, which are not in $home/active-response/bin any more"
		get_programs
	fi
	free_all
	setup --remove || ! configured ||
		say "could not take the suite's block out of $home/etc/ossec.conf: take out what is between the \"ossec-ar\" comments"
	remove_units
	displace /etc/cron.d/ossec-ar
	remove_programs
	free_all # what a daemon had blocked meanwhile
	! there "$programs_kept" || run rm -rf "$programs_kept"
	[ "$purge" = no ] || remove_state
	remove_placed
	[ "$dry_run" = yes ] || rmdir "$stock" 2>/dev/null || true
	if [ "$purge" = yes ]; then
		did "taken out of $home/active-response/bin, with its state and its own logs"
	else
		did "taken out of $home/active-response/bin; what is blocked stays blocked, state and logs stay in $home"
	fi
}

work=$(mktemp -d)
spare=
trap 'rm -rf "$work"; [ -z "$spare" ] || [ "$dry_run" = yes ] || rm -rf "$spare"' EXIT
trap 'exit 1' INT TERM HUP
believe_home
case $action in
install)
	if [ "$configure" = yes ] && ours firewall-drop; then
		made_in=
		say "the suite is installed in $home already: without --configure, install.sh brings it up to date"
		configure_ossec
	else
		install_suite
	fi
	;;
uninstall) uninstall_suite ;;
esac
